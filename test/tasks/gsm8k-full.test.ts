import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { HuggingFaceTaskReader } from "../../src/tasks/hub/huggingface-reader.js";
import { GSM8K, HASTY, hubWithGsm8k, standInRows, temporaryFolder } from "./hub-repo.js";

/** A folder with GSM8K's train.jsonl and test.jsonl, and a Python with pyarrow, which makes Parquet of them. */
const { AJET_GSM8K: source, AJET_PYARROW_PYTHON: python = "python3" } = process.env;
const SCRIPT = fileURLToPath(new URL("./fixtures/make_gsm8k_parquet.py", import.meta.url));

type Split = "train" | "test";
interface Row {
  question: string;
  answer: string;
}

/**
 * Reads both splits from a hub that holds `repository`, the first time with a connection that is cut within the
 * training split and a hub that is then down, so that a second reader goes on where the first one stopped.
 */
async function expectTasksOf(repository: string, rowsOf: (split: Split) => Row[], cutAt: number): Promise<number[]> {
  const { hub, settings } = await hubWithGsm8k(repository);
  hub.cut = { afterBytes: cutAt, times: 1, thenDown: true };
  const patience = { ...HASTY, attempts: 1, idleMs: 30_000 };
  const splits = { training: "train", validation: "test" };
  const makeReader = () => new HuggingFaceTaskReader({ path: "openai/gsm8k", splits }, { settings, patience });
  await expect(makeReader().read("training")).rejects.toMatchObject({ code: "ERR_AJET_NETWORK" });
  hub.isDown = false;
  hub.requests.length = 0;
  const reader = makeReader();
  const counts = [];
  for (const [split, name] of [
    ["training", "train"],
    ["validation", "test"],
  ] as const) {
    const tasks = await reader.read(split);
    const expected = rowsOf(name).map(({ question, answer }, index) => ({
      taskId: String(index),
      mainQuery: question,
      initMessages: [],
      envType: "no_env",
      metadata: { question, answer },
    }));
    // Not toEqual on the whole: vitest would print megabytes.
    expect(tasks.findIndex((task, index) => JSON.stringify(task) !== JSON.stringify(expected[index]))).toBe(-1);
    counts.push(tasks.length);
  }
  const ranges = hub.contentRequests.filter(({ path }) => path.startsWith("/lfs/")).map(({ range }) => range);
  expect(ranges).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/), undefined]);
  return counts;
}

it("a small GSM8K is read from the hub, also after a cut connection", async () => {
  expect(await expectTasksOf(GSM8K, standInRows, 3000)).toEqual([30, 10]);
});

it.skipIf(source === undefined)("GSM8K is read from the hub with 7,473 and 1,319 tasks (AJET_GSM8K)", async () => {
  const folder = temporaryFolder();
  execFileSync(python, [SCRIPT, source as string, folder]);
  const rowsOf = (split: Split) =>
    readFileSync(join(source as string, `${split}.jsonl`), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Row);
  expect(await expectTasksOf(folder, rowsOf, 900_000)).toEqual([7473, 1319]);
});
