import type { DeviceMemory, TrainStats } from "../native/types.js";
import type { CallRecord, CallVerdict } from "../rollout/call-record.js";
import type { EpisodeResult } from "../rollout/episode.js";
import type { RunTotals } from "./run-state.js";

/** One line of metrics.jsonl: flat keys, numbers. */
export type StepMetrics = { step: number } & Record<string, number>;

/** What a step did. */
export interface StepOutcome {
  step: number;
  results: readonly EpisodeResult[];
  /** Absent where no call was left to train on. */
  stats: TrainStats | undefined;
  verdicts: readonly CallVerdict[];
  /** Of {@link sharedPrefix}. */
  sharedPromptTokens: number;
  rolloutSeconds: number;
  updateSeconds: number;
  /** Passes over the tasks before it. */
  epoch: number;
  /** After the update. */
  memory: DeviceMemory;
}

/** The metrics of one step, under AgentJet's names where they mean the same. */
export function stepMetrics(outcome: StepOutcome): StepMetrics {
  const { results, stats, verdicts } = outcome;
  const kept = results.filter((result) => !result.error);
  const rewards = kept.map((result) => result.reward);
  const calls = results.flatMap(capturedCalls);
  const lengths = calls.map((call) => call.sampledIds.length);
  const prompts = calls.map((call) => call.promptIds.length);
  const generated = sum(lengths);
  const stepSeconds = outcome.rolloutSeconds + outcome.updateSeconds;
  const fates = (fate: CallVerdict["fate"]) => verdicts.filter((verdict) => verdict.fate === fate).length;
  return {
    step: outcome.step,
    "training/global_step": outcome.step,
    "training/epoch": outcome.epoch,
    "critic/real_reward": mean(rewards),
    "critic/real_success_rate": mean(results.map((result) => (result.isSuccess ? 1 : 0))),
    "critic/rewards/mean": mean(rewards),
    "critic/rewards/max": most(rewards),
    "critic/rewards/min": least(rewards),
    "critic/success_rate": mean(kept.map((result) => (result.isSuccess ? 1 : 0))),
    "rollout/episodes": results.length,
    "rollout/episodes_dropped": results.length - kept.length,
    "rollout/calls_trained": fates("trained"),
    "rollout/calls_merged": fates("merged"),
    "rollout/calls_dropped": fates("dropped"),
    "rollout/madness_rate": mean(kept.map((result) => (result.madness === undefined ? 0 : 1))),
    "rollout/prompt_forks": sum(results.map((result) => result.forks.length)),
    "rollout/tokens_generated": generated,
    "response_length/mean": mean(lengths),
    "response_length/max": most(lengths),
    "response_length/min": least(lengths),
    "response_length/clip_ratio": mean(calls.map((call) => (call.finishReason === "length" ? 1 : 0))),
    "prompt_length/shared": outcome.sharedPromptTokens,
    "prompt_length/mean": mean(prompts),
    "prompt_length/max": most(prompts),
    "prompt_length/min": least(prompts),
    "timing_s/gen": outcome.rolloutSeconds,
    "timing_s/update_actor": outcome.updateSeconds,
    "timing_s/step": stepSeconds,
    "perf/time_per_step": stepSeconds,
    "perf/tokens_per_second": generated / stepSeconds,
    "perf/memory_allocated_gb": outcome.memory.activeBytes / 2 ** 30,
    "perf/max_memory_allocated_gb": outcome.memory.peakBytes / 2 ** 30,
    "perf/resident_memory_gb": process.memoryUsage.rss() / 2 ** 30,
    ...(stats ? updateMetrics(stats, stepSeconds) : {}),
    ...workflowMetrics(kept),
  };
}

function updateMetrics(stats: TrainStats, stepSeconds: number): Record<string, number> {
  const advantages = Array.from(stats.advantages);
  return {
    "critic/advantages/max": most(advantages),
    "critic/advantages/min": least(advantages),
    "perf/total_num_tokens": stats.tokensUnshared,
    "perf/throughput": stats.tokensUnshared / stepSeconds,
    "actor/loss": stats.loss,
    "actor/pg_loss": stats.policyLoss,
    "actor/kl_loss": stats.kl,
    "actor/entropy": stats.entropy,
    "actor/pg_clipfrac": stats.clipFraction,
    "actor/ratio_max": stats.ratioMax,
    "actor/grad_norm": stats.gradNorm,
    "actor/lr": stats.learningRate,
    "rollout/logprob_max_abs_diff": stats.logprobMaxAbsDiff,
    "rollout/logprobs_compared": stats.logprobsCompared,
    "train/tokens_trained": stats.tokensTrained,
    "train/tokens_recomputed": stats.tokensRecomputed,
    "train/tokens_tree": stats.tokensTree,
    "train/tokens_unshared": stats.tokensUnshared,
    "train/rows": stats.rows,
    "train/rows_left_out": stats.rowsLeftOut,
    "train/micro_batches": stats.microBatches,
    "train/weights_version": stats.version,
  };
}

/** Means of the workflow's own numbers over the episodes that gave them. */
function workflowMetrics(results: readonly EpisodeResult[]): Record<string, number> {
  const values = new Map<string, number[]>();
  for (const [name, value] of results.flatMap((result) => Object.entries(result.logMetrics))) {
    const list = values.get(name);
    if (list) list.push(value);
    else values.set(name, [value]);
  }
  return Object.fromEntries([...values].map(([name, list]) => [`workflow/${name}`, mean(list)]));
}

/** Tokens that all prompts of a step begin with: the system prompt and the tools, as a rule. */
export function sharedPrefix(results: readonly EpisodeResult[]): number {
  const prompts = results.flatMap((result) => result.calls.map((call) => call.promptIds));
  const [first, ...others] = prompts;
  let length = first?.length ?? 0;
  for (const prompt of others) {
    let same = 0;
    while (same < length && prompt[same] === first?.[same]) same++;
    length = same;
  }
  return length;
}

/** Adds a step to the run's sums. */
export function addToTotals(totals: RunTotals, outcome: StepOutcome): void {
  const { results, stats, verdicts } = outcome;
  totals.wall_seconds += outcome.rolloutSeconds + outcome.updateSeconds;
  totals.episodes += results.length;
  totals.shared_prompt_tokens = Math.max(totals.shared_prompt_tokens, outcome.sharedPromptTokens);
  for (const result of results) {
    totals.tokens_generated += sum(capturedCalls(result).map((call) => call.sampledIds.length));
    totals.prompt_forks += result.forks.length;
    if (result.unrepeatable.length > 0) totals.episodes_unrepeatable++;
    if (result.error) {
      totals.episodes_dropped++;
      countReason(totals, `episode: ${result.error.kind}`);
    }
  }
  for (const verdict of verdicts) {
    if (verdict.fate === "trained") totals.calls_trained++;
    else if (verdict.fate === "merged") totals.calls_merged++;
    else if (verdict.fate === "dropped") {
      totals.calls_dropped++;
      countReason(totals, `call: ${verdict.reason}`);
    }
  }
  if (stats) {
    totals.logprob_max_abs_diff = Math.max(totals.logprob_max_abs_diff, stats.logprobMaxAbsDiff);
    totals.logprobs_compared += stats.logprobsCompared;
    totals.tokens_trained += stats.tokensTrained;
    totals.tokens_trained_unshared += stats.tokensUnshared;
  }
}

function countReason(totals: RunTotals, reason: string): void {
  totals.drop_reasons[reason] = (totals.drop_reasons[reason] ?? 0) + 1;
}

/** Every call that the server recorded for an episode, those of failed attempts included. */
function capturedCalls(result: EpisodeResult): CallRecord[] {
  return [...result.calls, ...result.droppedCalls.map(({ call }) => call)];
}

function most(values: readonly number[]): number {
  return values.reduce((a, b) => Math.max(a, b), values[0] ?? 0);
}

function least(values: readonly number[]): number {
  return values.reduce((a, b) => Math.min(a, b), values[0] ?? 0);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return values.length > 0 ? sum(values) / values.length : 0;
}
