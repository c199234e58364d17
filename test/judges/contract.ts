import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EpisodeTrace, Judge, JudgeContext, JudgedEpisode, JudgeLlm, Judgement } from "../../src/agent/judge.js";
import type { WorkflowTask } from "../../src/agent/task.js";
import type { WorkflowOutput } from "../../src/agent/workflow.js";
import { findUserClass, type UserClass } from "../../src/rollout/user-code.js";
import { WorkerPool, type WorkerPoolOptions } from "../../src/rollout/worker-pool.js";

export interface JudgeCase {
  task: Record<string, unknown>;
  output: Record<string, unknown>;
  reward: number;
  isSuccess: boolean;
}

/** What a judge is tested with. */
export interface JudgeUnderTest {
  /** As ajet exports it. */
  name: string;
  make(): Judge;
  args?: Record<string, unknown>;
  /** Whom it asks; nobody by default. */
  llm?: JudgeLlm;
  config?: Record<string, unknown>;
}

export function workflowTaskWith(metadata: Record<string, unknown>, sample = 0): WorkflowTask {
  return {
    task: { taskId: "t1", mainQuery: "What is it?", initMessages: [], envType: "no_env", metadata },
    episodeUuid: String(sample).repeat(32),
    sample,
    step: 1,
    mode: "train",
  };
}

const NOBODY: JudgeLlm = { ask: () => Promise.reject(new Error("This judge has no LLM")) };

export function contextWith(over: Partial<EpisodeTrace & JudgeContext> = {}): EpisodeTrace & JudgeContext {
  const signal = new AbortController().signal;
  return { calls: [], toolResults: [], llm: NOBODY, attempt: 1, signal, ...over };
}

/** Worker threads in which a judge scores what a task says. */
export function poolOptions(judge: UserClass): WorkerPoolOptions {
  return {
    threads: 1,
    workflow: findUserClass("w", "test/judges/user-code/echoing.ts->Echoing"),
    judge,
    config: {},
    llm: NOBODY,
    runPython: async () => ({ exitCode: 0, stdout: "", stderr: "" }),
    stallMs: 20_000,
    heapMb: 512,
    onOutput: () => {},
    onStray: () => {},
  };
}

/** What every judge promises, on the cases given. */
export function judgeContract(judge: JudgeUnderTest, cases: readonly JudgeCase[]): void {
  const make = () => Object.assign(judge.make(), { args: structuredClone(judge.args ?? {}) });
  const context = () => contextWith(judge.llm ? { llm: judge.llm } : {});
  const score = (task: WorkflowTask, output: WorkflowOutput, by = make()) => by.computeReward(task, output, context());

  describe(`${judge.name} keeps the judge contract`, () => {
    it.each(cases)("scores $output against $task", async ({ task, output, reward, isSuccess }) => {
      const one = make();
      const inputs = [workflowTaskWith(task), { reward: null, metadata: output }] as [WorkflowTask, WorkflowOutput];
      const before = structuredClone(inputs);
      const first = await score(...deepFreeze(inputs), one);
      expect(first).toMatchObject({ reward: expect.closeTo(reward, 5), isSuccess });
      expect(inputs).toEqual(before);
      expect(await score(...inputs, one)).toEqual(first);
      expect(await score(...inputs)).toEqual(first);
    });

    it("gives a finite reward to any output", async () => {
      for (const metadata of oddOutputs()) {
        const judgement = await score(workflowTaskWith(cases[0]?.task ?? {}), { reward: null, metadata });
        expect(judgement).toMatchObject({ reward: expect.toSatisfy(Number.isFinite), isSuccess: expect.any(Boolean) });
      }
    });

    it("takes the settings it is given before the run starts, and refuses one that it does not know", async () => {
      await make().prepare?.();
      const misspelt = Object.assign(make(), { args: { ...judge.args, no_such_setting: 1 } });
      const preparing = async () => misspelt.prepare?.();
      await expect(preparing()).rejects.toThrow(/`task_judge\.judge_args\.no_such_setting` is not a setting/);
    });

    groupContract(make, context, cases);
    threadContract(judge, cases);
  });
}

function* oddOutputs(): Generator<Record<string, unknown>> {
  const texts = [
    "",
    "\\boxed",
    "\\boxed{".repeat(2000),
    `\\boxed{${"9".repeat(100_000)}}`,
    "{}".repeat(50_000),
    "\ud800",
  ];
  yield {};
  for (const value of [null, 1, Number.NaN, [], {}, true, ...texts]) yield { final_answer: value };
}

/** The optional group form: one judgement each, whatever the order; alone as `computeReward`. */
function groupContract(
  make: () => Judge,
  context: () => EpisodeTrace & JudgeContext,
  cases: readonly JudgeCase[],
): void {
  it.skipIf(make().computeGroupRewards === undefined)("judges a group, in whatever order it comes", async () => {
    const task = cases[0]?.task ?? {};
    const episodes = [...cases.map(({ output }) => output), ...oddOutputs()].map((metadata, sample) => ({
      workflowTask: workflowTaskWith(task, sample),
      output: { reward: null, metadata },
      calls: [],
      toolResults: [],
    }));
    const judgeAll = (group: readonly JudgedEpisode[]) =>
      make().computeGroupRewards?.(deepFreeze(group), context()) as Promise<Judgement[]>;
    const judgements = await judgeAll(episodes);
    expect(judgements).toHaveLength(episodes.length);
    for (const { reward } of judgements) expect(reward).toSatisfy(Number.isFinite);
    expect(new Set(judgements.map(({ reward }) => reward)).size).toBeGreaterThan(1);
    expect((await judgeAll([...episodes].reverse())).reverse()).toEqual(judgements);
    for (const episode of episodes.slice(0, 3)) {
      const { workflowTask, output } = episode;
      expect(await judgeAll([episode])).toEqual([await make().computeReward(workflowTask, output, context())]);
    }
  });
}

/** In a worker thread, found by the name that a YAML gives it. */
function threadContract(
  { name, args = {}, llm = NOBODY, config = {} }: JudgeUnderTest,
  cases: readonly JudgeCase[],
): void {
  describe("in a worker thread", () => {
    let pool: WorkerPool;
    beforeAll(async () => {
      const judge = { ...findUserClass("task_judge.judge_protocol", `ajet->${name}`), args };
      pool = new WorkerPool({ ...poolOptions(judge), config, llm });
      await pool.start();
    });
    afterAll(() => pool?.dispose());

    it("judges as it does here", async () => {
      const { signal } = new AbortController();
      for (const { task, output, reward, isSuccess } of cases) {
        const workflowTask = workflowTaskWith({ ...task, echo: output });
        const job = { workflowTask, baseUrl: "http://127.0.0.1:9/v1", apiKey: "none", alone: false };
        const outcome = await pool.execute(job, signal);
        const expected = { reward: expect.closeTo(reward, 5), isSuccess };
        if (outcome.kind !== "unjudged") {
          expect(outcome).toMatchObject({ kind: "scored", score: expected });
          continue;
        }
        const episodes = [{ workflowTask, output: outcome.output, calls: [], toolResults: [] }];
        const judged = await pool.judgeGroup({ episodes, alone: false }, signal);
        expect(judged).toMatchObject({ kind: "judged", judgements: [expected] });
      }
    });
  });
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const part of Object.values(value)) deepFreeze(part);
    Object.freeze(value);
  }
  return value;
}
