import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { HuggingFaceTaskReader } from "../../src/tasks/hub/huggingface-reader.js";
import { GSM8K, HASTY, hubWithGsm8k, standInRows, temporaryFolder } from "./hub-repo.js";
import { taskReaderContract } from "./reader-contract.js";

const SPLITS = { training: "train", validation: "test" };
describe("on the hub", () => {
  it.each(["openai/gsm8k", "openai/gsm8k/main"])("reads %s", async (path) => {
    const { settings } = await hubWithGsm8k();
    const reader = new HuggingFaceTaskReader({ path, splits: SPLITS }, { settings });
    for (const [split, name] of [
      ["training", "train"],
      ["validation", "test"],
    ] as const) {
      expect(await reader.read(split)).toEqual(
        standInRows(name).map(({ question, answer }, index) => ({
          taskId: String(index),
          mainQuery: question,
          initMessages: [],
          envType: "no_env",
          metadata: { question, answer },
        })),
      );
    }
  });

  it("fetches the card and the split that is read, nothing else", async () => {
    const { hub: own, settings } = await hubWithGsm8k();
    await new HuggingFaceTaskReader({ path: "openai/gsm8k", splits: SPLITS }, { settings }).read("validation");
    const names = own.contentRequests
      .filter(({ path }) => !path.startsWith("/lfs/"))
      .map(({ path }) => path.split("/").at(-1));
    expect(names).toEqual(["README.md", "test-00000-of-00001.parquet"]);
  });

  it("reads another configuration", async () => {
    const { settings } = await hubWithGsm8k();
    const rows = (source: object) =>
      new HuggingFaceTaskReader({ path: "openai/gsm8k", splits: SPLITS, ...source }, { settings }).read("training");
    expect(await rows({ config: "socratic" })).toHaveLength(15);
    expect(await rows({ path: "openai/gsm8k/socratic" })).toHaveLength(15);
    await expect(rows({ config: "hard" })).rejects.toThrow(/no configuration hard; it has main, socratic/);
  });

  it("names the splits that exist", async () => {
    const { settings } = await hubWithGsm8k();
    const reader = new HuggingFaceTaskReader(
      { path: "openai/gsm8k", splits: { training: "validation" } },
      { settings },
    );
    await expect(reader.read("training")).rejects.toThrow(/no split validation; its splits are: train, test/);
  });

  it("survives a connection that breaks half-way", async () => {
    const { hub: own, settings } = await hubWithGsm8k();
    own.cut = { afterBytes: 2000, times: 2, thenDown: false };
    const reader = new HuggingFaceTaskReader({ path: "openai/gsm8k", splits: SPLITS }, { settings, patience: HASTY });
    expect(await reader.read("training")).toHaveLength(30);
  });
});

describe("the fields", () => {
  const rows = [{ problem: "1+1?", solution: "2", level: 3 }];
  const source = (fields: object) => {
    const path = join(temporaryFolder(), "train.json");
    writeFileSync(path, JSON.stringify(rows));
    return new HuggingFaceTaskReader({ path, splits: SPLITS, ...fields }).read("training");
  };

  it("may have other names", async () => {
    const [task] = await source({ questionField: "problem", answerField: "solution" });
    expect(task).toMatchObject({ mainQuery: "1+1?", metadata: { ...rows[0], answer: "2" } });
  });

  it("are named where they are missing", async () => {
    await expect(source({})).rejects.toThrow(/keys are problem, solution, level; `.*question_field` names another/);
    await expect(source({ questionField: "problem", answerField: "key" })).rejects.toThrow(/no field `key`/);
  });
});

type Row = { question: string; answer: string };
const jsonl = (rows: Row[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
const separated = (separator: string) => (rows: Row[]) =>
  [`question${separator}answer`, ...rows.map((row) => quoted(row.question) + separator + quoted(row.answer))].join(
    "\r\n",
  );
const FORMATS: Record<string, (rows: Row[]) => string | Buffer> = {
  jsonl,
  "jsonl.gz": (rows) => gzipSync(jsonl(rows)),
  json: (rows) => JSON.stringify(rows, null, 1),
  csv: separated(","),
  tsv: separated("\t"),
};

const formats = mkdtempSync(join(tmpdir(), "ajet-formats-"));
afterAll(() => rmSync(formats, { recursive: true }));

function folderOf(ending: string): string {
  const folder = join(formats, ending);
  mkdirSync(folder, { recursive: true });
  for (const split of ["train", "test"] as const) {
    writeFileSync(join(folder, `${split}.${ending}`), FORMATS[ending]?.(standInRows(split)) ?? "");
  }
  return folder;
}

const FOLDERS: [string, string][] = [
  ["parquet", GSM8K],
  ...Object.keys(FORMATS).map((ending): [string, string] => [ending, folderOf(ending)]),
];
for (const [ending, path] of FOLDERS) {
  const makeReader = () => new HuggingFaceTaskReader({ path, splits: SPLITS });
  taskReaderContract(`HuggingFaceTaskReader on ${ending}`, makeReader, ["training", "validation"]);
  it(`reads the same tasks from ${ending}`, async () => {
    for (const [split, name] of [
      ["training", "train"],
      ["validation", "test"],
    ] as const) {
      const tasks = await makeReader().read(split);
      expect(tasks.map(({ metadata }) => metadata)).toEqual(standInRows(name));
    }
  });
}

it("reads one file of a folder", async () => {
  const reader = new HuggingFaceTaskReader({ path: join(formats, "csv/test.csv"), splits: { validation: "test" } });
  expect(await reader.read("validation")).toHaveLength(10);
});

it("keeps tasks apart that bring equal ids", async () => {
  const path = join(formats, "train.jsonl");
  writeFileSync(
    path,
    '{"question":"a","task_id":"x"}\n{"question":"b","task_id":"x"}\n{"question":"c","task_id":"x"}\n',
  );
  const tasks = await new HuggingFaceTaskReader({ path, splits: SPLITS }).read("training");
  expect(tasks.map(({ taskId, mainQuery }) => [taskId, mainQuery])).toEqual([
    ["x", "a"],
    ["x#2", "b"],
    ["x#3", "c"],
  ]);
});

it("takes a name for what it is", async () => {
  const read = (path: string) => new HuggingFaceTaskReader({ path, splits: SPLITS }).read("training");
  await expect(read("a/b/c/d")).rejects.toThrow(/owner\/name or owner\/name\/config/);
  await expect(read("/no/such/folder")).rejects.toThrow(/a folder that exists/);
  const empty = join(formats, "empty");
  mkdirSync(empty);
  await expect(read(empty)).rejects.toThrow(/has no files/);
  writeFileSync(join(empty, "load.py"), "");
  await expect(read(empty)).rejects.toThrow(/no Parquet, JSONL, JSON or CSV files/);
});
