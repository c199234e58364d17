import { describe, expect, it } from "vitest";
import type { Task } from "../../src/agent/task.js";
import type { EpisodeResult } from "../../src/rollout/episode.js";
import { passAtK, taskTag, validationCounts, validationMetrics } from "../../src/train/validation-metrics.js";

function episodes(taskId: string, rewards: readonly number[]): EpisodeResult[] {
  const task = { taskId } as Task;
  return rewards.map((reward) => ({ task, reward, isSuccess: reward >= 1 }) as EpisodeResult);
}

/** Share of the k-element subsets of the episodes that hold a success. */
function passByEnumeration(n: number, c: number, k: number): number {
  let subsets = 0;
  let passing = 0;
  for (let bits = 0; bits < 2 ** n; bits++) {
    const members = Array.from({ length: n }, (_, i) => i).filter((i) => bits & (1 << i));
    if (members.length !== k) continue;
    subsets++;
    if (members.some((i) => i < c)) passing++;
  }
  return passing / subsets;
}

describe("passAtK", () => {
  it("is the share of the draws of k episodes that hold a success", () => {
    for (let n = 1; n <= 8; n++) {
      for (let c = 0; c <= n; c++) {
        for (let k = 1; k <= n; k++) expect(passAtK(n, c, k)).toBeCloseTo(passByEnumeration(n, c, k), 12);
      }
    }
  });
});

describe("validation", () => {
  const results = [...episodes("a", [1, 1, 1, 1]), ...episodes("b", [0, 1, 0.5, 0]), ...episodes("c", [0, 0, -1, 0.1])];
  const counts = validationCounts(results);

  it("tags episodes as AgentJet does, a dropped one as a failure", () => {
    expect(results.map(taskTag).slice(4)).toEqual([
      ...["failure", "success", "half_success", "failure"],
      ...["failure", "failure", "failure", "half_success"],
    ]);
    expect(taskTag({ isSuccess: true, reward: 1, error: { kind: "timeout", message: "" } })).toBe("failure");
    expect(counts.task_tags).toEqual({ success: 5, half_success: 2, failure: 5 });
  });

  it("counts tasks by how many of their episodes solved them", () => {
    expect(counts).toMatchObject({ pass_n: 4, num_all_success_tasks: 1, num_pass_n_tasks: 2 });
    expect(Object.keys(counts.pass_at)).toEqual(["1", "2", "4"]);
    expect(counts.pass_at["1"]).toBeCloseTo(5 / 12, 12);
    expect(counts.pass_at["4"]).toBeCloseTo(2 / 3, 12);
  });

  it("keeps tasks with equal ids apart", () => {
    expect(validationCounts([...episodes("x", [1]), ...episodes("x", [0])])).toMatchObject({ num_pass_n_tasks: 1 });
  });

  it("has numbers alone under AgentJet's names", () => {
    const set = { ...counts, tasks: 3, success_rate: 5 / 12, mean_reward: 0.3 };
    const metrics = validationMetrics(set, "val");
    expect(metrics).toMatchObject({ "val/total_tasks": 3, "val/num_pass_4_tasks": 2, "val/TGC@1": 5 / 12 });
    expect(metrics["val/TGC@4"]).toBe(metrics["val/pass@4"]);
    expect(metrics["val/TGC@4-all-pass"]).toBeCloseTo(1 / 3, 12);
    for (const value of Object.values(metrics)) expect(value).toBeTypeOf("number");
  });

  it("is nothing without tasks", () => {
    expect(validationCounts([])).toMatchObject({ pass_n: 0, pass_at: {}, num_pass_n_tasks: 0 });
  });
});
