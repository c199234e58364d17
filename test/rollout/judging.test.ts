import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { JudgeLlm } from "../../src/agent/judge.js";
import { LlmError } from "../../src/judges/llm/llm-error.js";
import type { EpisodeExecutor, EpisodeRequest, EpisodeResult } from "../../src/rollout/episode.js";
import { EpisodeRunner, type RolloutCallbacks } from "../../src/rollout/episode-runner.js";
import { InProcessExecutor } from "../../src/rollout/in-process-executor.js";
import { findUserClass } from "../../src/rollout/user-code.js";
import { WorkerPool } from "../../src/rollout/worker-pool.js";
import { Harness, saying, tokenizer, toolCall } from "../serve/harness.js";

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

/** Calls a tool, then answers; what a malformed call looks like is in the question. */
const SCRIPT = ({ promptIds }: { promptIds: Int32Array }) => {
  const prompt = tokenizer.decode([...promptIds]);
  if (prompt.includes("malformed")) return saying('<tool_call>\n{"name": execute}\n</tool_call>');
  return saying(
    prompt.includes("<tool_response>") ? "It is 51." : toolCall("execute_python_code", '{"code":"17 * 3"}'),
  );
};

let harness: Harness;
let asked = 0;
const llm: JudgeLlm = {
  ask: async () => {
    if (++asked % 3 === 0) throw new LlmError("The endpoint is tired");
    return "0.25";
  },
};

const PYTHON = async () => ({ exitCode: 0, stdout: "", stderr: "" });
const userCode = (judge: string, args = {}) => ({
  workflow: findUserClass("w", "test/rollout/user-code/talking.ts->Talking"),
  judge: { ...findUserClass("j", judge), args },
  config: {},
  runPython: PYTHON,
  llm,
});
const threads = { threads: 2, stallMs: 1500, heapMb: 256, onOutput: () => {}, onStray: () => {} };
const badJudge = () => new WorkerPool({ ...userCode("test/rollout/user-code/talking.ts->JudgingBadly"), ...threads });
const groupJudge = () =>
  new WorkerPool({ ...userCode("test/rollout/user-code/talking.ts->JudgingGroups"), ...threads });

beforeAll(async () => {
  harness = await Harness.start(SCRIPT);
});
afterAll(() => harness?.server.stop());

function request(metadata: Record<string, unknown>, sample = 0, mainQuery = "How much?"): EpisodeRequest {
  return { task: { taskId: JSON.stringify(metadata), mainQuery, initMessages: [], envType: "", metadata }, sample };
}

function run(executor: EpisodeExecutor, requests: EpisodeRequest[], callbacks: RolloutCallbacks = {}) {
  // Only what hangs is waited for; the others take milliseconds.
  const hangs = requests.some(({ task }) => /hangs/.test(String(task.metadata["behaviour"])));
  const limits = { maxParallel: 8, timeoutMs: 60_000, judgeTimeoutMs: hangs ? 2000 : 10_000, maxAttempts: 3 };
  const runner = new EpisodeRunner({ server: harness.server, executor, runSeed: 1, ...limits });
  return runner.run(requests, { mode: "train", step: 1, temperature: 1, maxTokens: 64 }, callbacks);
}

describe.each(["workers", "this thread"])("a judge on %s", (where) => {
  let executor: EpisodeExecutor;
  beforeAll(async () => {
    const inProcess = new InProcessExecutor(userCode("test/rollout/user-code/talking.ts->JudgingBadly"));
    executor = where === "workers" ? badJudge() : inProcess;
    await executor.start();
  });
  afterAll(() => executor?.dispose());

  it("sees the calls and the tool results", async () => {
    const [result] = await run(executor, [request({ behaviour: "shows what it sees" })]);
    const { calls, toolResults } = JSON.parse(result?.reason ?? "");
    const call = { id: expect.any(String), type: "function" };
    const made = { ...call, function: { name: "execute_python_code", arguments: '{"code":"17 * 3"}' } };
    expect(calls.map(({ finishReason }: { finishReason: string }) => finishReason)).toEqual(["tool_calls", "stop"]);
    expect(calls[0].reply).toMatchObject({ role: "assistant", tool_calls: [made] });
    expect(calls[1].messages.map(({ role }: { role: string }) => role)).toEqual(["user", "assistant", "tool"]);
    expect(calls[1].reply).toMatchObject({ content: "It is 51." });
    expect(toolResults).toEqual([
      { toolCallId: calls[0].reply.tool_calls[0].id, name: "execute_python_code", content: "51" },
    ]);
  });

  it.each([
    ["NaN", /^Expected { reward: a finite number, isSuccess } from the judge but received NaN$/],
    ["Infinity", /but received Infinity$/],
    ["text", /but received {"reward":"1","isSuccess":true}$/],
    ["undefined", /but received undefined$/],
    ["throws", /^The judge threw TypeError: no opinion$/],
    ["bad parts", /^Expected a finite number for `parts\.form` from the judge but received NaN$/],
    ["no parts", /^Expected an object of numbers for `parts` from the judge but received 7$/],
    ["hangs", /^The judge ran longer than 2 s/],
    ["hangs but listens", /^The judge/],
    ...(where === "workers"
      ? ([
          ["loops", /^While it was judged: It did not give its thread back for 1\.5 s$|^The judge ran longer/],
          ["exits", /^While it was judged: The workflow called process\.exit\(3\)$/],
          ["throws in a timer", /^While it was judged: .*in a timer$/],
        ] as const)
      : []),
  ] as const)("that fails (%s) costs its episode alone, which is not run again", async (behaviour, message) => {
    const [failed, other] = await run(executor, [request({ behaviour }), request({ behaviour: "good" })]);
    expect(failed).toMatchObject({ attempts: 1, reward: 0, calls: [], retried: [], error: { kind: "judge" } });
    expect(failed?.error?.message).toMatch(message);
    expect(failed?.droppedCalls.map(({ reason }) => reason)).toEqual(["judge_failed", "judge_failed"]);
    expect(failed?.unrepeatable.length).toBe(/ran longer|thread back/.test(failed?.error?.message ?? "") ? 1 : 0);
    expect(other).toMatchObject({ reward: 1, isSuccess: true });
  });

  it("is run again where it throws", async () => {
    const before = harness.engine.calls.length;
    const [result] = await run(executor, [request({ behaviour: "throws at first" })]);
    expect(result).toMatchObject({ reward: 3, attempts: 1 });
    expect(harness.engine.calls.length - before).toBe(2);
  });

  it("asks the run's LLM; what that fails is dropped with its reason", async () => {
    asked = 0;
    const results = await run(
      executor,
      Array.from({ length: 9 }, (_, sample) => request({ behaviour: "asks" }, sample)),
    );
    const dropped = results.filter(({ error }) => error);
    // The LLM has had its retries: judging is not repeated.
    expect(dropped).toHaveLength(3);
    expect(asked).toBe(9);
    for (const { error, unrepeatable } of dropped) {
      expect(error).toMatchObject({ kind: "judge", message: "The judge threw LlmError: The endpoint is tired" });
      expect(unrepeatable).toContain("the judge's LLM gave no answer");
    }
    for (const result of results) if (!result.error) expect(result.reward).toBe(0.25);
  });
});

describe("penalties", () => {
  it.each([
    ["How much?", "missing_print_penalty", "51 is right, -0.25 for code without print"],
    [
      "A malformed one",
      "malformed_tool_call_penalty",
      "no \\boxed{} in the final answer, -0.25 for a malformed <tool_call>",
    ],
  ])("are taken for what the server recorded: %s", async (query, key, reason) => {
    const pool = new WorkerPool({ ...userCode("ajet->MathAnswerAsJudge", { [key]: 0.25 }), ...threads });
    harness.engine.script = (call) => {
      const ids = SCRIPT(call);
      return tokenizer.decode(ids).startsWith("It is") ? saying("It is \\boxed{51}.") : ids;
    };
    const [result] = await run(pool, [request({ answer: "51" }, 0, query)]);
    harness.engine.script = SCRIPT;
    await pool.dispose();
    const answer = reason.includes("right") ? 1 : 0;
    const parts = { answer, [key.replace("_penalty", "")]: -0.25 };
    expect(result).toMatchObject({ reason, reward: answer - 0.25, parts });
    expect(result?.isSuccess).toBe(reason.includes("right"));
  });
});

describe("a judge of groups", () => {
  let pool: WorkerPool;
  beforeAll(async () => {
    pool = groupJudge();
    await pool.start();
  });
  afterAll(() => pool?.dispose());

  const group = (metadata: Record<string, unknown>, samples = 4) => {
    const { task } = request(metadata);
    return Array.from({ length: samples }, (_, sample) => ({ task, sample }));
  };

  it.each(["workers", "this thread"])("gets a task's episodes together, in their order (%s)", async (where) => {
    const here = new InProcessExecutor(userCode("test/rollout/user-code/talking.ts->JudgingGroups"));
    const seen: EpisodeResult[] = [];
    const requests = [...group({ n: 1 }), ...group({ n: 2 }), ...group({ n: 3 }, 1)];
    const results = await run(where === "workers" ? pool : here, requests, {
      onEpisode: (result) => seen.push(result),
    });
    expect(results.map(({ reward }) => reward)).toEqual([0, 1, 2, 3, 0, 1, 2, 3, 0]);
    expect(results.map(({ isSuccess, sample }) => isSuccess === sample > 0)).not.toContain(false);
    expect(results.map(({ reason }) => reason)).toEqual([
      ...Array(4).fill('{"n":1} 0,1,2,3 2 51'),
      ...Array(4).fill('{"n":2} 0,1,2,3 2 51'),
      '{"n":3} 0 2 51',
    ]);
    expect(results.map(({ calls }) => calls.length)).toEqual(Array(9).fill(2));
    expect(new Set(seen)).toEqual(new Set(results));
  });

  it("keeps tasks with one id apart", async () => {
    const results = await run(pool, [...group({ same: true }), ...group({ same: true })]);
    expect(results.map(({ reward }) => reward)).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
  });

  it("leaves episodes out that failed before", async () => {
    const results = await run(pool, group({ fails: 1 }));
    expect(results.map(({ error }) => error?.kind)).toEqual([undefined, "workflow", undefined, undefined]);
    expect(results.filter(({ error }) => !error).map(({ reward }) => reward)).toEqual([0, 1, 2]);
    expect(results[3]?.reason).toContain(" 0,2,3 ");
  });

  it.each([
    ["short", /^Expected 4 judgements from the judge but received 1$/],
    ["NaN", /received NaN$/],
    ["throws", /^The judge threw TypeError: no opinion$/],
    ["hangs", /^The judge ran longer than 2 s/],
    ["loops", /^While it was judged: It did not give its thread back|^The judge ran longer/],
  ])("that fails (%s) costs its group alone, which is not run again", async (behaviour, message) => {
    const before = harness.engine.calls.length;
    const requests = [...group({ behaviour }), ...group({ n: 5 })];
    const results = await run(pool, requests);
    for (const result of results.slice(0, 4)) {
      expect(result).toMatchObject({ attempts: 1, calls: [], error: { kind: "judge" } });
      expect(result.error?.message).toMatch(message);
      expect(result.droppedCalls.filter(({ reason }) => reason === "judge_failed")).toHaveLength(2);
    }
    expect(results.slice(4).map(({ reward }) => reward)).toEqual([0, 1, 2, 3]);
    // A loop takes its thread along, and what else runs there is run again.
    if (behaviour !== "loops") expect(harness.engine.calls.length - before).toBe(16);
  });

  it("stops with the rollout", async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error("enough")), 700);
    const running = run(pool, group({ behaviour: "hangs" }), { signal: stop.signal });
    await expect(running).rejects.toMatchObject({ code: "ERR_AJET_ABORTED" });
  });
});

it("refuses to start with settings that the judge refuses", async () => {
  const pool = new WorkerPool({ ...userCode("ajet->MathAnswerAndLlmAsJudge"), ...threads });
  await expect(pool.start()).rejects.toThrow(/`task_judge\.alien_llm_model` is missing/);
  await pool.dispose();
});
