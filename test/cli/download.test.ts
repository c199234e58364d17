import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { GSM8K, hubWithGsm8k } from "../tasks/hub-repo.js";
import { ajet, jsonLines, ROOT, readJson, tinyRun } from "./ajet.js";

const TRAIN = "main/train-00000-of-00001.parquet";

async function hub() {
  const { hub, home } = await hubWithGsm8k();
  return { hub, home, env: { HF_ENDPOINT: hub.url, HF_HOME: home, HF_TOKEN: "" } };
}

describe("ajet download", () => {
  it("fills the cache, once", async () => {
    const { hub: server, home, env } = await hub();
    const first = await ajet(["download", "--target=openai/gsm8k/main", "--json"], { env });
    expect(first.stderr).toMatch(/fetching openai\/gsm8k: /);
    expect(jsonLines(first.stdout)).toEqual([
      {
        target: "openai/gsm8k/main",
        dataset_path: "openai/gsm8k/main",
        files: ["README.md", TRAIN, "main/test-00000-of-00001.parquet"],
      },
    ]);
    expect(existsSync(join(home, "hub/datasets--openai--gsm8k/refs/main"))).toBe(true);
    server.requests.length = 0;
    expect((await ajet(["download", "--target=openai/gsm8k/main"], { env })).code).toBe(0);
    expect(server.contentRequests).toEqual([]);
  });

  it("writes plain files, in the seed's spelling too", async () => {
    const { home, env } = await hub();
    const script = join(ROOT, "scripts/download_dataset");
    const { stdout } = await promisify(execFile)(script, ["--target=openai/gsm8k", `--path=${home}/data`], {
      env: { ...process.env, ...env },
    });
    const folder = join(home, "data/openai/gsm8k");
    expect(stdout).toContain(`\`dataset_path: ${folder}\` reads them`);
    expect(readFileSync(join(folder, TRAIN))).toEqual(readFileSync(join(GSM8K, TRAIN)));
    expect(existsSync(join(folder, "socratic"))).toBe(true);
  });

  it.each([
    [["--target=openai/gsm9k"], /error \[ERR_AJET_CONFIG\]: There is no data set openai\/gsm9k .*HF_TOKEN/],
    [["--target=openai/gsm8k/hard"], /no configuration hard; it has main, socratic/],
    [["--target=a/b/c/d"], /owner\/name or owner\/name\/config.*`--target`/],
    [[], /required option '--target <name>'/],
  ])("refuses %j with code 2", async (args, message) => {
    const { env } = await hub();
    const { code, stderr } = await ajet(["download", ...args], { env });
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});

describe("a run on a data set of the hub", () => {
  it("fetches it, trains on it, and finds it again when it is resumed", async () => {
    const { hub: server, home, env } = await hub();
    const yaml = join(home, "run/math.yaml");
    mkdirSync(join(home, "run"));
    const tutorial = readFileSync(join(ROOT, "tutorial/example_math_agent/math_agent.yaml"), "utf8");
    writeFileSync(
      yaml,
      tutorial.replace(
        /task_reader:\n( {4}.*\n)+/,
        "task_reader:\n    type: huggingface_dat_repo\n    huggingface_dat_repo:\n      dataset_path: openai/gsm8k\n",
      ),
    );
    const settings = tinyRun(home, "gsm", { "trainer_common.total_training_steps": 1 }).filter(
      (arg, i, all) => !/unseen/.test(arg) && !/unseen/.test(all[i + 1] ?? ""),
    );
    const { code, stderr } = await ajet(["train", yaml, ...settings], { env });
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching(/fetching openai\/gsm8k/) });
    expect(readJson(home, "gsm/summary.json")).toMatchObject({ steps: 1 });
    await server.stop();
    const resumed = await ajet(
      [
        "train",
        yaml,
        "--resume",
        "gsm",
        "--set",
        `experiment_dir="${home}"`,
        "--set",
        "trainer_common.total_training_steps=2",
      ],
      { env },
    );
    expect(resumed).toMatchObject({ code: 0 });
    expect(readJson(home, "gsm/summary.json")).toMatchObject({ steps: 2 });
  });
});
