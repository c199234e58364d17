import type { EpisodeHeader, LoggedCall, LoggedEpisode } from "./types.js";

/** A call as it is given to the log: its place in the tree is found there. */
export type CallToWrite = Omit<LoggedCall, "node" | "entropies" | "inLoss"> & {
  /** Empty where they are not known. */
  readonly entropies: Float32Array;
  /** Its sampled tokens are in the loss. */
  readonly inLoss: boolean;
};

/** What the log does not find out by itself of a header; of the marks, `tool_error` and `cut_off`. */
export type HeaderToWrite = Pick<
  EpisodeHeader,
  "sample" | "reward" | "success" | "tag" | "advantage" | "dropped" | "marks" | "attempts" | "wallMs"
>;

/** An episode as it is given to the log. */
export type EpisodeToWrite = Omit<LoggedEpisode, "header" | "calls" | "toolCalls" | "vocabulary"> & {
  readonly header: HeaderToWrite;
  readonly calls: readonly CallToWrite[];
};

/** A task's episodes in a step. */
export interface GroupToWrite {
  readonly taskId: string;
  readonly episodes: readonly EpisodeToWrite[];
}
