import { setMaxListeners } from "node:events";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { OnnxAsJudge } from "../../../src/judges/onnx/onnx-judge.js";
import { findUserClass } from "../../../src/rollout/user-code.js";
import { WorkerPool } from "../../../src/rollout/worker-pool.js";
import { temporaryFolder } from "../../cli/ajet.js";
import { judgeContract, poolOptions, workflowTaskWith } from "../contract.js";

const fixtures = fileURLToPath(new URL("fixtures", import.meta.url));

interface Expected {
  model: "classifier" | "regressor";
  text: string;
  pair: string;
  logits: number[];
}
/** As onnx's reference evaluator has it. */
const expected = JSON.parse(readFileSync(join(fixtures, "expected.json"), "utf8")) as Expected[];

const isInstalled = (() => {
  try {
    createRequire(import.meta.url).resolve("onnxruntime-node");
    return true;
  } catch {
    return false;
  }
})();
if (!isInstalled)
  process.stderr.write("skipped: the ONNX judge, since the optional package onnxruntime-node is absent\n");

const PAIR = { text: "{query}", pair: "{answer}" };

function judge(args: Record<string, unknown>): OnnxAsJudge {
  return Object.assign(new OnnxAsJudge(), { args });
}

const settings = (model: string, more: object = {}) => ({
  model_path: join(fixtures, `${model}.onnx`),
  ...PAIR,
  ...more,
});

async function reward(args: Record<string, unknown>, { text, pair }: Pick<Expected, "text" | "pair">): Promise<number> {
  const task = workflowTaskWith({});
  const asked = { ...task, task: { ...task.task, mainQuery: text } };
  return (await judge(args).computeReward(asked, { reward: null, metadata: { final_answer: pair } })).reward;
}

const softmax = (logits: readonly number[], label: number) =>
  Math.exp(logits[label] as number) / logits.reduce((sum, logit) => sum + Math.exp(logit), 0);

describe.skipIf(!isInstalled)("with onnxruntime-node", () => {
  const cases = ["the answer is right", "the answer is wrong"].map((answer) => ({
    task: {},
    output: { final_answer: answer },
  }));
  judgeContract(
    { name: "OnnxAsJudge", make: () => new OnnxAsJudge(), args: settings("classifier", { text: "What is 2 + 3?" }) },
    [
      ...cases.map((one, i) => {
        const value = softmax(expected[i]?.logits ?? [], 1);
        return { ...one, reward: value, isSuccess: value >= 0.5 };
      }),
    ],
  );

  it("tells right from wrong", async () => {
    const [right, wrong] = expected as [Expected, Expected];
    expect(await reward(settings("classifier"), right)).toBeGreaterThan(0.5);
    expect(await reward(settings("classifier"), wrong)).toBeLessThan(0.5);
  });

  it.each(expected)("computes what the reference does: $model, $text / $pair", async ({ model, logits, ...texts }) => {
    if (model === "regressor") {
      const [logit] = logits as [number];
      expect(await reward(settings(model), texts)).toBeCloseTo(logit, 5);
      expect(await reward(settings(model, { activation: "sigmoid" }), texts)).toBeCloseTo(
        1 / (1 + Math.exp(-logit)),
        5,
      );
    } else {
      expect(await reward(settings(model), texts)).toBeCloseTo(softmax(logits, 1), 5);
      expect(await reward(settings(model, { label: 0 }), texts)).toBeCloseTo(softmax(logits, 0), 5);
      expect(await reward(settings(model, { activation: "none" }), texts)).toBeCloseTo(logits[1] as number, 5);
    }
  });

  it("cuts texts that are longer than max_length", async () => {
    const long = { text: "right ".repeat(2000), pair: "" };
    const short = { text: "right ".repeat(14), pair: "" };
    const args = settings("regressor", { pair: undefined, max_length: 16 });
    expect(await reward(args, long)).toBe(await reward(args, short));
  });

  it("scores many texts at once", async () => {
    const texts = Array.from({ length: 64 }, (_, i) => expected[i % expected.length] as Expected);
    const together = await Promise.all(texts.map((text) => reward(settings("regressor"), text)));
    for (const [i, text] of texts.entries()) expect(together[i]).toBe(await reward(settings("regressor"), text));
  });

  /** The processes that run models for this one. */
  const scorers = () =>
    readdirSync("/proc").filter((pid) => {
      try {
        const [, parent] = /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
        return Number(parent) === process.pid && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("scorer-entry");
      } catch {
        return false; // no process, or none any more
      }
    });

  it("survives the death of the process that runs the model", async () => {
    const [right] = expected as [Expected];
    const before = await reward(settings("classifier"), right);
    const dying = reward(settings("classifier", { max_length: 500 }), { text: "right ".repeat(100_000), pair: "" });
    for (const pid of scorers()) process.kill(Number(pid), "SIGKILL");
    await expect(dying).rejects.toThrow("The process that runs the ONNX model ended: SIGKILL");
    expect(await reward(settings("classifier"), right)).toBe(before);
  });

  it("lets threads be ended that score, and leaves no process behind", async () => {
    const known = scorers();
    const args = settings("classifier", { max_length: 500 });
    const judge = { ...findUserClass("j", "ajet->OnnxAsJudge"), args };
    const pool = new WorkerPool({ ...poolOptions(judge), threads: 3 });
    await pool.start();
    expect(scorers()).toHaveLength(known.length + 3);
    const { signal } = new AbortController();
    setMaxListeners(0, signal);
    const task = { ...workflowTaskWith({ echo: { final_answer: "right ".repeat(20_000) } }) };
    const job = { workflowTask: task, baseUrl: "http://127.0.0.1:9/v1", apiKey: "none", alone: false };
    const scoring = Array.from({ length: 60 }, () => pool.execute(job, signal));
    await Promise.race(scoring);
    await pool.dispose();
    for (const { kind } of await Promise.all(scoring)) expect(["scored", "failed", "interrupted"]).toContain(kind);
    await expect.poll(scorers, { timeout: 20_000 }).toEqual(known);
  });

  it.each([
    [{}, /`task_judge\.judge_args\.model_path`: Expected the path of an \.onnx file/],
    [{ model_path: "nowhere.onnx" }, /nowhere\.onnx, which does not exist/],
    [settings("classifier", { output: "scores" }), /has no output `scores`; its outputs are: logits/],
    [settings("classifier", { activation: "tanh" }), /judge_args\.activation/],
  ])("refuses %j before the run starts", async (args, problem) => {
    await expect(judge(args).prepare()).rejects.toMatchObject({
      code: "ERR_AJET_CONFIG",
      message: expect.stringMatching(problem),
    });
  });

  it("refuses a file that is no model, and a model without a tokenizer", async () => {
    const folder = temporaryFolder();
    const model_path = join(folder, "model.onnx");
    writeFileSync(model_path, "no model");
    await expect(judge({ model_path }).prepare()).rejects.toThrow(/tokenizer_path/);
    copyFileSync(join(fixtures, "tokenizer.json"), join(folder, "tokenizer.json"));
    await expect(judge({ model_path, max_length: 99 }).prepare()).rejects.toThrow(/is no model for onnxruntime/);
    mkdirSync(join(folder, "other"));
    copyFileSync(join(fixtures, "classifier.onnx"), model_path);
    const tokenizer_path = join(folder, "other");
    await expect(judge({ model_path, tokenizer_path }).prepare()).rejects.toThrow(
      /other\/tokenizer\.json is no tokenizer/,
    );
    await judge({ model_path, tokenizer_path: fixtures }).prepare();
  });
});

it.skipIf(isInstalled)("says what to install", async () => {
  await expect(judge(settings("classifier")).prepare()).rejects.toThrow(/npm install onnxruntime-node/);
});
