import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../src/native/model.js";
import type { TrainCall } from "../../src/native/types.js";
import { selectCalls } from "../../src/rollout/audit.js";
import { EpisodeRunner } from "../../src/rollout/episode-runner.js";
import { findUserClass } from "../../src/rollout/user-code.js";
import { WorkerPool } from "../../src/rollout/worker-pool.js";
import type { RunningServer } from "../../src/serve/contract.js";
import { startServer } from "../../src/serve/server.js";
import { textEngine } from "../../src/serve/text-engine.js";
import { createPythonSandbox, type PythonSandbox } from "../../src/tools/python-sandbox.js";
import { formatToolResult, runToolCall, SYSTEM_PROMPT, TOOLS } from "../../tutorial/example_math_agent/python-tool.js";
import { chatTemplate, tokenizer, toolCall } from "../serve/harness.js";
import { learn, lesson } from "../serve/lessons.js";
import { randomModel } from "../serve/random-model.js";

const QUESTION = "How much is 17 * 3?";
const CALL = toolCall("execute_python_code", '{"code": "print(17 * 3)"}');
const RESULT = { exitCode: 0, stdout: "51\n", stderr: "" };

let sandbox: PythonSandbox;
beforeAll(async () => {
  sandbox = await createPythonSandbox();
});
afterAll(() => sandbox.dispose());

describe("the math agent", () => {
  let model: Model;
  let server: RunningServer;
  let pool: WorkerPool;

  // A tiny model that has learnt one episode by heart, so that the whole loop runs: it calls the tool, reads, answers.
  beforeAll(async () => {
    model = await randomModel(1n);
    await learn(model, [
      mathLesson(0, [], CALL),
      mathLesson(1, [calling(), { role: "tool", content: formatToolResult(RESULT) }], "It is \\boxed{51}."),
    ]);
    const engine = await model.createEngine({ maxSequences: 16, kvBytes: 64 << 20 });
    server = await startServer({ engine: textEngine(engine), tokenizer, chatTemplate, modelName: "learnt" });
    const folder = "tutorial.example_math_agent";
    pool = new WorkerPool({
      workflow: findUserClass("w", `${folder}.math_agent_oai_sdk->ExampleMathLearn`),
      judge: findUserClass("j", `${folder}.math_answer_as_judge->MathAnswerAsJudge`),
      config: {},
      runPython: (code) => sandbox.run(code),
      threads: 1,
      stallMs: 10_000,
      heapMb: 256,
      onOutput: () => {},
      onStray: () => {},
    });
    await pool.start();
  });
  afterAll(async () => {
    await pool?.dispose();
    await server?.stop();
    await model?.dispose();
  });

  it("calls the tool, reads its output, answers and is scored", async () => {
    const runner = new EpisodeRunner({
      server,
      executor: pool,
      runSeed: 1,
      maxParallel: 8,
      timeoutMs: 30_000,
      maxAttempts: 1,
    });
    const task = (answer: string) => ({
      taskId: answer,
      mainQuery: QUESTION,
      initMessages: [],
      envType: "",
      metadata: { answer },
    });
    const requests = ["#### 51", "#### 52"].map((answer) => ({ task: task(answer), sample: 0 }));
    const [right, wrong] = await runner.run(requests, { mode: "eval", step: 0, temperature: 0, maxTokens: 80 });
    expect(right?.error).toBeUndefined();
    expect(right).toMatchObject({ reward: 1, isSuccess: true, metadata: { final_answer: "It is \\boxed{51}." } });
    expect(wrong).toMatchObject({ reward: 0, isSuccess: false, reason: "51 is not 52" });
    expect(right?.calls.map((call) => call.finishReason)).toEqual(["tool_calls", "stop"]);
    const [first, second] = right?.calls ?? [];
    // The second prompt holds the first call token by token, and what Python printed.
    const recorded = [...(first?.promptIds ?? []), ...(first?.sampledIds ?? [])];
    expect([...(second?.promptIds.slice(0, recorded.length) ?? [])]).toEqual(recorded);
    expect(tokenizer.decode([...(second?.promptIds ?? [])])).toContain('{"stdout":"51\\n","returncode":0}');
    expect(selectCalls(right ? [right] : [], model.version).trainable).toHaveLength(2);
  });
});

function calling() {
  const call = {
    id: "x",
    type: "function",
    function: { name: "execute_python_code", arguments: { code: "print(17 * 3)" } },
  };
  return { role: "assistant", content: "", tool_calls: [call] };
}

function mathLesson(episode: number, further: object[], reply: string): TrainCall {
  const messages = [{ role: "system", content: SYSTEM_PROMPT }, { role: "user", content: QUESTION }, ...further];
  return lesson(episode, messages, reply, TOOLS);
}

describe("the math agent's tool", () => {
  const tuner = { executePython: (code: string) => sandbox.run(code) } as never;
  const call = (args: string, name = "execute_python_code") =>
    runToolCall(tuner, { id: "c", type: "function", function: { name, arguments: args } });

  it.each([
    ['{"code": "print(6 * 7)"}', { stdout: "42\n", returncode: 0 }],
    ['{"code": "6 * 7"}', { stdout: "", returncode: 0 }],
    ['{"code": "1 / 0"}', { stdout: "", stderr: "ZeroDivisionError: division by zero", returncode: 1 }],
    ['{"code": 5}', { stdout: "", stderr: "TypeError: 'code' must be a string", returncode: 1 }],
    ["{}", { stdout: "", stderr: "TypeError: 'code' must be a string", returncode: 1 }],
    ["null", { stdout: "", stderr: "TypeError: 'code' must be a string", returncode: 1 }],
    ["{", { stdout: "", stderr: "TypeError: 'code' must be a string", returncode: 1 }],
    ['{"code": "print(\'x\' * 5000)"}', { stdout: `${"x".repeat(400)}...`, returncode: 0 }],
  ])("answers %s", async (args, answer) => {
    expect(JSON.parse(await call(args))).toEqual(answer);
  });

  it("says that it knows no other tool", async () => {
    expect(JSON.parse(await call("{}", "generate_response"))).toMatchObject({
      stderr: expect.stringMatching(/generate_response/),
    });
  });

  it("keeps the system prompt as short as the seed's", () => {
    expect(SYSTEM_PROMPT.split(/\s+/).length).toBeLessThanOrEqual(45);
  });
});
