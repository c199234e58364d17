import type { EpisodeResult } from "../rollout/episode.js";

/** From this share of completions at their token limit on, a policy has forgotten how to end a turn. */
const MOST_AT_LIMIT = 0.9;

/**
 * Notices a policy that its updates have destroyed: nearly every completion runs to its token limit, all episodes get one
 * and the same reward, and it is less than the run began with. Nothing can be learned from such a step.
 */
export class CollapseWatch {
  #firstReward: number | undefined;
  #told = false;

  /** What to say of a step, once a run. */
  check(step: number, results: readonly EpisodeResult[], learningRate: number): string | undefined {
    const kept = results.filter((result) => !result.error);
    const calls = kept.flatMap((result) => result.calls);
    const rewards = kept.map((result) => result.reward);
    const [reward] = rewards;
    if (reward === undefined || calls.length === 0 || this.#told) return undefined;
    if (this.#firstReward === undefined) {
      this.#firstReward = rewards.reduce((sum, value) => sum + value, 0) / rewards.length;
      return undefined;
    }
    const atLimit = calls.filter((call) => call.finishReason === "length").length;
    if (atLimit < MOST_AT_LIMIT * calls.length || rewards.some((value) => value !== reward)) return undefined;
    if (reward >= this.#firstReward) return undefined;
    this.#told = true;
    return (
      `policy collapsed: in step ${step}, ${atLimit} of ${calls.length} completions ran to their token limit and every ` +
      `episode got the reward ${reward} (the first step's mean was ${this.#firstReward.toFixed(3)}), so that nothing is ` +
      `left to learn from. Lower \`trainer_common.optim.lr\` (it is ${learningRate}) and start again`
    );
  }
}
