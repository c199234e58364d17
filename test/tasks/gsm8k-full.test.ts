import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { HuggingFaceTaskReader } from "../../src/tasks/hub/huggingface-reader.js";
import { HASTY, hubWithGsm8k, temporaryFolder } from "./hub-repo.js";

/** A folder with GSM8K's train.jsonl and test.jsonl, and a Python with pyarrow, which makes Parquet of them. */
const { AJET_GSM8K: source, AJET_PYARROW_PYTHON: python = "python3" } = process.env;
const SCRIPT = fileURLToPath(new URL("./fixtures/make_gsm8k_parquet.py", import.meta.url));

describe.skipIf(source === undefined)("the whole of GSM8K (AJET_GSM8K)", () => {
  const rowsOf = (split: string) =>
    readFileSync(join(source as string, `${split}.jsonl`), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { question: string; answer: string });

  it("is read from the hub with 7,473 and 1,319 tasks, also after a cut connection", async () => {
    const folder = temporaryFolder();
    execFileSync(python, [SCRIPT, source as string, folder]);
    const { hub, settings } = await hubWithGsm8k(folder);
    hub.cut = { afterBytes: 900_000, times: 1, thenDown: true };
    const patience = { ...HASTY, attempts: 1 };
    const splits = { training: "train", validation: "test" };
    const makeReader = () => new HuggingFaceTaskReader({ path: "openai/gsm8k", splits }, { settings, patience });
    // The card comes whole; the training split breaks.
    await expect(makeReader().read("training")).rejects.toMatchObject({ code: "ERR_AJET_NETWORK" });
    hub.isDown = false;
    const reader = makeReader();
    for (const [split, name, count] of [
      ["training", "train", 7473],
      ["validation", "test", 1319],
    ] as const) {
      const tasks = await reader.read(split);
      expect(tasks).toHaveLength(count);
      const expected = rowsOf(name).map(({ question, answer }, index) => [String(index), question, answer]);
      const found = tasks.map(({ taskId, mainQuery, metadata }) => [taskId, mainQuery, metadata["answer"]]);
      expect(JSON.stringify(found) === JSON.stringify(expected)).toBe(true);
    }
    expect(hub.contentRequests.some(({ range }) => range === "bytes=900000-")).toBe(true);
  });
});
