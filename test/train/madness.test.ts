import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ajet, jsonLines, readJson, runDigest, temporaryFolder, tinyRun } from "../cli/ajet.js";
import { loggedEpisodes } from "../cli/logged-episodes.js";

const folder = temporaryFolder();
const STEPS = 2;

async function train(name: string, values: Record<string, unknown>) {
  const run = tinyRun(folder, name, { "trainer_common.total_training_steps": STEPS, ...values });
  const { code, stderr } = await ajet(["train", ...run]);
  expect(stderr).not.toContain("error");
  expect(code).toBe(0);
  const read = (file: string) => jsonLines(readFileSync(join(folder, name, file), "utf8"));
  const episodes = await loggedEpisodes(join(folder, name));
  return { episodes, metrics: read("metrics.jsonl"), summary: readJson(folder, name, "summary.json") };
}

/** Hot enough that bytes of other alphabets come up. */
const HOT = { "rollout.temperature": 4, "rollout.compute_madness_checklist": ["non_ascii"] };

describe("compute_madness_checklist", () => {
  it("gives mad episodes their reward, trains them, and ends them with the reply that was mad", async () => {
    const { episodes, metrics, summary } = await train("hot", { ...HOT, "rollout.agent_madness_reward": -0.5 });
    const mad = episodes.filter(({ reason }) => reason?.startsWith("non_ascii: "));
    expect(mad.length).toBeGreaterThan(0);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII begins with them
    const isMad = (call: { reply: object }) => /[^\x00-\x7f]/.test(JSON.stringify(call.reply));
    for (const { reward, success, tag, calls, attempts } of mad) {
      expect({ reward, success, tag, attempts }).toEqual({
        ...{ reward: -0.5, success: false, tag: "failure", attempts: 1 },
      });
      expect(calls.map(isMad)).toEqual(calls.map((_: unknown, i: number) => i === calls.length - 1));
    }
    for (const { calls, reason } of episodes) {
      if (!reason?.startsWith("non_ascii")) expect(calls.some(isMad)).toBe(false);
    }
    const rate = metrics.reduce((sum, line) => sum + line["rollout/madness_rate"], 0) / STEPS;
    expect(rate).toBeCloseTo(mad.length / episodes.length, 12);
    expect(summary.episodes_dropped).toBe(0);
    expect(summary.logprob_max_abs_diff).toBe(0);
  });

  it("comes to the same, bit for bit, whatever runs at once", async () => {
    await train("one", { ...HOT, "rollout.max_env_worker": 1 });
    await train("many", { ...HOT, "rollout.max_env_worker": 8 });
    expect(runDigest(join(folder, "one"), STEPS)).toBe(runDigest(join(folder, "many"), STEPS));
  });

  it("takes a request that does not fit for an overflow where that is asked for; else it is the workflow's failure", async () => {
    const tight = { "rollout.max_model_len": 190, "trainer_common.val_before_train": false };
    const watched = await train("watched", { ...tight, "rollout.compute_madness_checklist": ["context_overflow"] });
    const overflowed = watched.episodes.filter(({ reason }) => reason?.startsWith("context_overflow: "));
    expect(overflowed.length).toBeGreaterThan(0);
    for (const { reward } of overflowed) expect(reward).toBe(-1);
    expect(watched.summary.episodes_dropped).toBe(0);
    const unwatched = await train("unwatched", tight);
    expect(unwatched.summary.episodes_dropped).toBeGreaterThan(0);
    expect(unwatched.metrics.map((line) => line["rollout/madness_rate"])).toEqual([0, 0]);
  });
});
