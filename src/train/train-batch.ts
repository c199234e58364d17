import type { TrainBatch, TrainStats } from "../native/types.js";
import { type CallSelection, selectCalls, verdictsOf } from "../rollout/audit.js";
import type { CallRecord, CallVerdict } from "../rollout/call-record.js";
import type { EpisodeResult } from "../rollout/episode.js";

/** A step's batch, and which call each of its choices came from. */
export interface StepBatch {
  batch: TrainBatch;
  selection: CallSelection;
  /** Results in the order of `batch.rewards`: those that were not dropped. */
  episodes: readonly EpisodeResult[];
}

/**
 * Lays a step's episodes out for the trainer, in task and sample order.
 * @param groups Group (task) of each result.
 * @param version Of the weights that are about to be trained.
 */
export function buildStepBatch(
  results: readonly EpisodeResult[],
  groups: readonly number[],
  version: number,
): StepBatch {
  const kept = results.flatMap((result, i) => (result.error ? [] : [{ result, group: groups[i] as number }]));
  const episodes = kept.map(({ result }) => result);
  const selection = selectCalls(episodes, version);
  // A dropped episode's calls are dropped ones too.
  for (const result of results) if (result.error) selection.dropped.push(...result.droppedCalls);
  return {
    batch: {
      calls: selection.trainable.map(({ call, episode }) => ({
        episode,
        prompt: call.promptIds,
        sampled: call.sampledIds,
        logprobs: call.logprobs,
        temperature: call.temperature,
      })),
      rewards: Float64Array.from(episodes, (episode) => episode.reward),
      groups: Int32Array.from(kept, ({ group }) => group),
    },
    selection,
    episodes,
  };
}

/** How each call of a step ended. `stats` is absent where there was nothing to train on. */
export function stepVerdicts(step: StepBatch, stats: TrainStats | undefined): Map<CallRecord, CallVerdict> {
  const result = new Map<CallRecord, CallVerdict>();
  for (const { call, reason } of step.selection.dropped) result.set(call, { fate: "dropped", reason });
  const { trainable } = step.selection;
  verdictsOf(trainable, stats).forEach((verdict, i) => {
    result.set((trainable[i] as { call: CallRecord }).call, verdict);
  });
  return result;
}
