import { describe, expect, it } from "vitest";
import type { EpisodeResult } from "../../src/rollout/episode.js";
import { CollapseWatch } from "../../src/train/collapse-watch.js";

/** Episodes of one call each. */
function step(rewards: number[], finishReason: "length" | "stop"): EpisodeResult[] {
  return rewards.map((reward) => ({ reward, calls: [{ finishReason }] }) as unknown as EpisodeResult);
}

const LEARNABLE = step([0, 1, 0, 1], "stop");

describe("CollapseWatch", () => {
  it("tells, once, of completions that all run to their limit for one and the same lower reward", () => {
    const watch = new CollapseWatch();
    expect(watch.check(1, LEARNABLE, 0.5)).toBeUndefined();
    const warning = watch.check(2, step([0, 0, 0, 0], "length"), 0.5);
    expect(warning).toContain("policy collapsed: in step 2, 4 of 4 completions");
    expect(warning).toContain("(it is 0.5)");
    expect(watch.check(3, step([0, 0, 0, 0], "length"), 0.5)).toBeUndefined();
  });

  it.each([
    ["the policy got better", step([1, 1, 1, 1], "length")],
    ["there is something to learn", step([0, 0, 0, 1], "length")],
    ["turns end", step([0, 0, 0, 0], "stop")],
    ["every episode was dropped", []],
  ])("is silent where %s", (_, results) => {
    const watch = new CollapseWatch();
    watch.check(1, LEARNABLE, 1e-3);
    expect(watch.check(2, results, 1e-3)).toBeUndefined();
  });

  it("is silent where it was no better from the start", () => {
    const watch = new CollapseWatch();
    for (const number of [1, 2]) expect(watch.check(number, step([0, 0], "length"), 1e-3)).toBeUndefined();
  });
});
