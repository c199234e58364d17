import { describe, expect, it } from "vitest";
import type { Judge } from "../../src/agent/judge.js";
import type { WorkflowTask } from "../../src/agent/task.js";
import type { WorkflowOutput } from "../../src/agent/workflow.js";

export interface JudgeCase {
  task: Record<string, unknown>;
  output: Record<string, unknown>;
  reward: number;
  isSuccess: boolean;
}

export function workflowTaskWith(metadata: Record<string, unknown>): WorkflowTask {
  return {
    task: { taskId: "t1", mainQuery: "What is it?", initMessages: [], envType: "no_env", metadata },
    episodeUuid: "0".repeat(32),
    sample: 0,
    step: 1,
    mode: "train",
  };
}

/** What every judge promises, on the cases given. */
export function judgeContract(name: string, makeJudge: () => Judge, cases: readonly JudgeCase[]): void {
  describe(`${name} keeps the judge contract`, () => {
    it.each(cases)("scores $output against $task", async ({ task, output, reward, isSuccess }) => {
      const judge = makeJudge();
      const inputs = [workflowTaskWith(task), { reward: null, metadata: output }] as [WorkflowTask, WorkflowOutput];
      const before = structuredClone(inputs);
      const first = await judge.computeReward(...deepFreeze(inputs));
      expect(first).toMatchObject({ reward, isSuccess });
      expect(inputs).toEqual(before);
      expect(await judge.computeReward(...inputs)).toEqual(first);
      expect(await makeJudge().computeReward(...inputs)).toEqual(first);
    });

    it("gives a finite reward to any output", async () => {
      const task = cases[0]?.task ?? {};
      const texts = [
        "",
        "\\boxed",
        "\\boxed{".repeat(2000),
        `\\boxed{${"9".repeat(100_000)}}`,
        `${"{}".repeat(50_000)}`,
        "\ud800",
      ];
      const values = [undefined, null, 1, Number.NaN, [], {}, true, ...texts];
      for (const value of values) {
        const metadata = value === undefined ? {} : { final_answer: value };
        const judgement = await makeJudge().computeReward(workflowTaskWith(task), { reward: null, metadata });
        expect(Number.isFinite(judgement.reward)).toBe(true);
        expect(typeof judgement.isSuccess).toBe("boolean");
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
