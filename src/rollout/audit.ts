import type { PromptFork } from "../serve/contract.js";
import type { CallRecord, CallVerdict, DropReason } from "./call-record.js";
import type { DroppedCall, EpisodeResult } from "./episode.js";

/** A call that goes to the trainer. */
export interface TrainableCall {
  call: CallRecord;
  /** Index into the results. */
  episode: number;
}

/** What of a step's calls can be trained, and why the rest cannot. */
export interface CallSelection {
  trainable: TrainableCall[];
  dropped: DroppedCall[];
}

/**
 * Sorts out a step's calls, in the order of the results.
 * @param version Of the weights that are about to be trained: calls sampled from others are not on-policy.
 */
export function selectCalls(results: readonly EpisodeResult[], version: number): CallSelection {
  const trainable: TrainableCall[] = [];
  const dropped: DroppedCall[] = [];
  for (const [episode, result] of results.entries()) {
    dropped.push(...result.droppedCalls);
    for (const call of result.calls) {
      const reason = dropReason(call, version);
      if (reason === undefined) trainable.push({ call, episode });
      else dropped.push({ call, reason });
    }
  }
  return { trainable, dropped };
}

function dropReason(call: CallRecord, version: number): DropReason | undefined {
  if (call.dropReason !== undefined) return call.dropReason;
  if (call.finishReason === "cancelled") return "cancelled";
  if (call.sampledIds.length === 0) return "no_tokens";
  if (call.firstVersion !== version || call.lastVersion !== version) return "weights_changed";
  return undefined;
}

/** What the trainer says became of the calls it was given. */
export interface TrainerFates {
  /** Per call given. */
  fates: readonly ("trained" | "merged")[];
  /** Per episode: 0 where its group was left out. */
  episodesKept: Uint8Array;
}

/** Verdicts of the trainable calls, in their order. Without fates (nothing was trained) all are left out. */
export function verdictsOf(trainable: readonly TrainableCall[], trained?: TrainerFates): CallVerdict[] {
  return trainable.map(({ episode }, index) => {
    const fate = trained?.fates[index];
    if (trained === undefined || fate === undefined || trained.episodesKept[episode] === 0) {
      return { fate: "dropped", reason: "group_left_out" };
    }
    return { fate };
  });
}

/** Counts every captured call of a run once. */
export class CallAudit {
  trained = 0;
  merged = 0;
  /** Only reasons that occurred. */
  readonly droppedBy: Partial<Record<DropReason, number>> = {};

  get dropped(): number {
    return Object.values(this.droppedBy).reduce((sum, count) => sum + count, 0);
  }

  get total(): number {
    return this.trained + this.merged + this.dropped;
  }

  add(verdict: CallVerdict): void {
    if (verdict.fate === "dropped") this.droppedBy[verdict.reason] = (this.droppedBy[verdict.reason] ?? 0) + 1;
    else this[verdict.fate]++;
  }

  /** Counts a step: what was selected, and what the trainer made of it. */
  addStep(selection: CallSelection, verdicts: readonly CallVerdict[]): void {
    for (const { reason } of selection.dropped) this.add({ fate: "dropped", reason });
    for (const verdict of verdicts) this.add(verdict);
  }
}

/** An episode whose prompts left the recorded tokens somewhere. */
export type ForkedEpisode = Pick<EpisodeResult, "task" | "sample" | "forks">;

/** One line per place where prompts left the recorded tokens, with how many episodes it happened in, most first. */
export function describeForks(episodes: readonly ForkedEpisode[]): string[] {
  const places = new Map<string, { episodes: number; example: ForkedEpisode }>();
  for (const episode of episodes) {
    for (const name of new Set(episode.forks.map(forkPlace))) {
      const place = places.get(name) ?? { episodes: 0, example: episode };
      place.episodes++;
      places.set(name, place);
    }
  }
  return [...places]
    .sort(([, a], [, b]) => b.episodes - a.episodes)
    .map(([name, { episodes, example }]) => {
      return `${name} (${episodes} episodes; e.g. task ${example.task.taskId}, sample ${example.sample})`;
    });
}

function forkPlace({ messageIndex, field }: PromptFork): string {
  return messageIndex < 0 ? field : `messages[${messageIndex}].${field}`;
}

/** One line per cause of failure, with how many episodes it cost, most first; empty where nothing failed. */
export function describeFailures(results: readonly EpisodeResult[]): string[] {
  const causes = new Map<string, { dropped: number; retried: number; example: EpisodeResult }>();
  const count = (message: string, result: EpisodeResult, what: "dropped" | "retried") => {
    const cause = causes.get(message) ?? { dropped: 0, retried: 0, example: result };
    cause[what]++;
    causes.set(message, cause);
  };
  for (const result of results) {
    for (const failure of result.retried) count(failure.message, result, "retried");
    if (result.error) count(result.error.message, result, "dropped");
  }
  return [...causes]
    .sort(([, a], [, b]) => b.dropped - a.dropped || b.retried - a.retried)
    .map(([message, { dropped, retried, example }]) => {
      const counts = [dropped ? `${dropped} dropped` : "", retried ? `${retried} tried again` : ""].filter(Boolean);
      return `${message} (${counts.join(", ")}; e.g. task ${example.task.taskId}, sample ${example.sample})`;
    });
}
