import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { FolderDataset } from "../../src/tasks/hub/folder-dataset.js";
import { globPattern } from "../../src/tasks/hub/glob.js";
import { splitFiles } from "../../src/tasks/hub/split-files.js";
import { temporaryFolder } from "./hub-repo.js";

async function splitsOf(paths: string[], options: { card?: string; config?: string } = {}): Promise<object> {
  const folder = temporaryFolder();
  for (const path of paths) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), "{}");
  }
  if (options.card !== undefined) writeFileSync(join(folder, "README.md"), `---\n${options.card}\n---\n# Card\n`);
  return Object.fromEntries(await splitFiles(await FolderDataset.open(folder), options.config));
}

const GSM8K = [
  "main/train-00000-of-00001.parquet",
  "main/test-00000-of-00001.parquet",
  "socratic/train-00000-of-00001.parquet",
];

describe("splits by name", () => {
  it.each([
    [["train.jsonl", "test.jsonl"], { train: ["train.jsonl"], test: ["test.jsonl"] }],
    [["a.jsonl", "b.jsonl"], { train: ["a.jsonl", "b.jsonl"] }],
    [["my_dev_set.csv", "training.csv"], { validation: ["my_dev_set.csv"], train: ["training.csv"] }],
    [["data/train/x.json", "data/eval/x.json"], { train: ["data/train/x.json"], test: ["data/eval/x.json"] }],
    [["latest.csv", "contest-train.csv"], { train: ["contest-train.csv", "latest.csv"] }],
    [
      ["data/hard-00000-of-00002.parquet", "data/hard-00001-of-00002.parquet"],
      { hard: ["data/hard-00000-of-00002.parquet", "data/hard-00001-of-00002.parquet"] },
    ],
    [["dataset_infos.json", "train.json"], { train: ["train.json"] }],
  ])("%j", async (paths, splits) => {
    expect(await splitsOf(paths)).toEqual(splits);
  });

  it("takes folders that hold everything for configurations", async () => {
    const main = { train: [GSM8K[0]], test: [GSM8K[1]] };
    expect(await splitsOf(GSM8K)).toEqual(main);
    expect(await splitsOf(GSM8K, { config: "main" })).toEqual(main);
    expect(await splitsOf(GSM8K, { config: "socratic" })).toEqual({ train: [GSM8K[2]] });
    await expect(splitsOf(["easy/train.csv", "hard/train.csv"])).rejects.toThrow(/name one of easy, hard/);
    await expect(splitsOf(GSM8K, { config: "x" })).rejects.toThrow(/no configuration x; it has main, socratic/);
  });
});

describe("splits by the card", () => {
  const files = ["x/a-1.parquet", "x/a-2.parquet", "x/b.parquet", "y/c.jsonl"];

  it.each([
    [
      "a list",
      "configs:\n- config_name: default\n  data_files:\n  - {split: train, path: x/a-*}\n  - {split: dev, path: [x/b.parquet]}",
    ],
    ["a mapping", "configs:\n- config_name: default\n  data_files: {train: x/a-*, dev: x/b.*}"],
    [
      "a folder",
      "configs:\n- config_name: default\n  data_dir: x\n  data_files: {train: 'a-[0-9].parquet', dev: b.parquet}",
    ],
  ])("in the form of %s", async (_, card) => {
    expect(await splitsOf(files, { card })).toEqual({
      train: ["x/a-1.parquet", "x/a-2.parquet"],
      dev: ["x/b.parquet"],
    });
  });

  it("takes the default configuration", async () => {
    const card =
      "configs:\n- {config_name: one, data_files: 'x/*'}\n- {config_name: two, default: true, data_files: y/c.jsonl}";
    expect(await splitsOf(files, { card })).toEqual({ train: ["y/c.jsonl"] });
    expect(await splitsOf(files, { card, config: "one" })).toEqual({ train: files.slice(0, 3) });
    const none = card.replace("default: true, ", "");
    await expect(splitsOf(files, { card: none })).rejects.toThrow(/name one of one, two/);
  });

  it("says that it is no YAML", async () => {
    await expect(splitsOf(files, { card: "configs: [" })).rejects.toThrow(/README.md of .* not valid YAML/);
  });
});

describe("patterns", () => {
  it.each([
    ["main/train-*", "main/train-00000-of-00001.parquet", true],
    ["main/train-*", "main/sub/train-0", false],
    ["*.csv", "a/b.csv", false],
    ["**/*.csv", "a/b/c.csv", true],
    ["**/*.csv", "c.csv", true],
    ["**", "a/b", true],
    ["a?.json", "a1.json", true],
    ["a[0-3].json", "a4.json", false],
    ["{train,test}.jsonl", "test.jsonl", true],
    ["a.b", "axb", false],
    ["a+(1)", "a+(1)", true],
  ])("%s and %s", (glob, path, matches) => {
    expect(globPattern(glob).test(path)).toBe(matches);
  });
});
