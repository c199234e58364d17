import type { CallVerdict } from "../../rollout/call-record.js";
import type { EpisodeFailure } from "../../rollout/episode.js";
import type { PromptFork } from "../../serve/contract.js";
import type { TokenVocabulary } from "./vocabulary.js";

/** What an episode came to, as in validation's counts. */
export type EpisodeTag = "success" | "half_success" | "failure";

/**
 * What an episode's replies show, found when it is written:
 * `no_print`: code that was handed to a tool prints nothing; `early_answer`: a final answer beside a call of a tool, or,
 * in a step whose episodes use tools, before any tool has answered; `malformed_call`: a `<tool_call>` that is none was left
 * in the text; `tool_error`: a tool answered with an error; `cut_off`: a reply ended at its token limit.
 */
export type EpisodeMark = "no_print" | "early_answer" | "malformed_call" | "tool_error" | "cut_off";

/** What is known of an episode without reading its body. */
export interface EpisodeHeader {
  /** `<step>.<index>`: names the episode in its log, in links too. */
  readonly key: string;
  /** From 1. */
  readonly step: number;
  /** Place within the step, from 0, in task and sample order. */
  readonly index: number;
  /** The group (task) within the step, from 0: names its token tree. */
  readonly group: number;
  readonly taskId: string;
  /** Which of the group's episodes, from 0. */
  readonly sample: number;
  /** Null where the episode was dropped. */
  readonly reward: number | null;
  readonly success: boolean;
  readonly tag: EpisodeTag;
  /** Null where it was dropped, or nothing was trained. */
  readonly advantage: number | null;
  /** Why the episode was dropped; null where it was not. */
  readonly dropped: EpisodeFailure["kind"] | null;
  readonly marks: readonly EpisodeMark[];
  /** Runs of the episode. */
  readonly attempts: number;
  /** All recorded calls, and those of them that were trained or merged. */
  readonly calls: number;
  readonly callsTrained: number;
  /** Tokens of the longest call, prompt and reply together. */
  readonly length: number;
  /** Sampled in all calls, and those of them in the loss. */
  readonly sampledTokens: number;
  readonly lossTokens: number;
  readonly toolCalls: number;
  /** How many of those were answered with an error. */
  readonly toolErrors: number;
  readonly forks: number;
  /** Weights version that sampled it; -1 where it has no call. */
  readonly version: number;
  /** Of the attempt that counted, in milliseconds. */
  readonly wallMs: number;
}

/** One choice of one LLM call. */
export interface LoggedCall {
  readonly callId: string;
  readonly choice: number;
  /** Undefined where its key named none. */
  readonly agent: string | undefined;
  /** The audit's. */
  readonly verdict: CallVerdict;
  readonly finishReason: "stop" | "length" | "tool_calls" | "cancelled";
  readonly temperature: number;
  /** Weights version of its first and of its last token. */
  readonly firstVersion: number;
  readonly lastVersion: number;
  /** How many calls with the same prompt and sampling the episode made before. */
  readonly repetition: number;
  /** Node of the group's {@link TokenTree} in which its last token lies; the way up gives all its tokens. */
  readonly node: number;
  readonly promptIds: Int32Array;
  readonly sampledIds: Int32Array;
  /** Of each sampled token, as the sampler recorded it: natural logarithm, exact. */
  readonly logprobs: Float32Array;
  /** Of the distribution each sampled token was drawn from, in nats to 1/4096; NaN where the call was not trained. */
  readonly entropies: Float32Array;
  /** 1 for each sampled token in the loss. */
  readonly inLoss: Uint8Array;
  /** Of its sampled tokens; null where they are not in the loss. */
  readonly advantage: number | null;
  /** The request's messages and the reply, as sent and as returned. */
  readonly messages: readonly unknown[];
  readonly reply: unknown;
  /** Milliseconds from the episode's first request to this one and to its reply; undefined where no one took the time. */
  readonly startMs: number | undefined;
  readonly endMs: number | undefined;
}

/** A tool call of a reply, with what came back. */
export interface LoggedToolCall {
  /** Index of the call whose reply made it. */
  readonly call: number;
  readonly id: string;
  readonly name: string;
  /** As the model wrote them: JSON, as a rule. */
  readonly arguments: string;
  /** Content of the tool message that answered it; undefined where none did. */
  readonly output: string | undefined;
  readonly isError: boolean;
  /**
   * Milliseconds from the reply to the next request that brings the output, the agent's own work and the tools of the same
   * reply included; undefined where it is not known.
   */
  readonly ms: number | undefined;
}

/** A whole episode. */
export interface LoggedEpisode {
  readonly header: EpisodeHeader;
  readonly uuid: string;
  /** The judge's. */
  readonly reason: string | undefined;
  /** What the reward is made of, where the judge says so. */
  readonly rewardParts: Readonly<Record<string, number>>;
  /** The workflow's: `metadata` (what is no JSON in it as text), and the numbers of `logMetrics`. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly logMetrics: Readonly<Record<string, number>>;
  /** Which check of `rollout.compute_madness_checklist` found something. */
  readonly madness: string | undefined;
  /** Why it was dropped. */
  readonly failure: EpisodeFailure | undefined;
  /** Failures of attempts before the last. */
  readonly retried: readonly EpisodeFailure[];
  /** What depended on the clock. */
  readonly unrepeatable: readonly string[];
  readonly forks: readonly PromptFork[];
  /** Those of the attempt that counted in their order, then those of attempts that did not. */
  readonly calls: readonly LoggedCall[];
  readonly toolCalls: readonly LoggedToolCall[];
  /** Texts of token ids. */
  readonly vocabulary: TokenVocabulary;
}

/**
 * A part of the group's token sequences. It lies within the prompt or within the reply of each call that passes through:
 * where one of them ends, a node ends.
 */
export interface TokenTreeNode {
  /** Index of the node before it; -1 for a root. Parents stand before their children. */
  readonly parent: number;
  /** Tokens before it on its path. */
  readonly start: number;
  readonly ids: Int32Array;
  /** Samples of the episodes that pass through it, ascending. */
  readonly samples: readonly number[];
  /** Sampled by a call of them (to others it is part of the prompt), and in the loss. */
  readonly isSampled: boolean;
  readonly inLoss: boolean;
}

/** All token sequences of a step's group, parts in common once. */
export interface TokenTree {
  readonly step: number;
  readonly group: number;
  readonly taskId: string;
  readonly nodes: readonly TokenTreeNode[];
  readonly vocabulary: TokenVocabulary;
}

/** What a log holds of one step. */
export interface LoggedStep {
  readonly step: number;
  readonly episodes: number;
  readonly groups: number;
  /** On disk. */
  readonly bytes: number;
}

/** Which episodes to list, and in what order. Everything absent: all, as written. */
export interface EpisodeQuery {
  readonly step?: number | { readonly from?: number; readonly to?: number };
  readonly group?: number;
  readonly taskId?: string;
  readonly sample?: number;
  /** Bounds included; dropped episodes have no reward and meet neither. */
  readonly minReward?: number;
  readonly maxReward?: number;
  readonly success?: boolean;
  readonly dropped?: boolean;
  /** All of them. */
  readonly marks?: readonly EpisodeMark[];
  /** Any further condition. */
  readonly where?: (header: EpisodeHeader) => boolean;
  /** Default: as written. Nulls come last in either direction; what is equal stays as written. */
  readonly sortBy?: Exclude<keyof EpisodeHeader, "marks">;
  readonly descending?: boolean;
  /** Default 0. */
  readonly offset?: number;
  /** Default 100. */
  readonly limit?: number;
}

/** Some of the episodes that met a query. */
export interface EpisodePage {
  readonly headers: readonly EpisodeHeader[];
  /** How many met it in all. */
  readonly total: number;
}

/** How to follow a log. */
export interface FollowOptions {
  /** Ends following. */
  readonly signal?: AbortSignal;
  /** Steps after this one; default: those that are not there yet. */
  readonly afterStep?: number;
  /** Time between looks, default 500 ms. */
  readonly pollMs?: number;
}

/**
 * A run's token log, for reading: `TokenLogReader.open(folder)` of reader.ts gives one. Reads while a run writes: a step
 * is there as a whole or not at all. Errors are FileErrors; one episode that is damaged does not stop the others.
 */
export interface TokenLogReading extends AsyncDisposable {
  /** What was left out so far and why: a torn end, a damaged part. */
  readonly notes: readonly string[];
  /** Looks for what was written (or cut back) since. True where something changed. */
  refresh(): Promise<boolean>;
  /** Steps in the log, ascending. */
  steps(): Promise<readonly LoggedStep[]>;
  /** Headers, by page; no body is read. */
  list(query?: EpisodeQuery): Promise<EpisodePage>;
  /** @throws FileError where there is no such episode. */
  header(key: string): Promise<EpisodeHeader>;
  /** Reads a whole episode. @throws FileError where there is none or its bytes are damaged. */
  episode(key: string): Promise<LoggedEpisode>;
  /** @throws FileError as `episode`. */
  tree(step: number, group: number): Promise<TokenTree>;
  /** The headers of each step as it is written. A step that a resumed run writes again is given again. */
  follow(options?: FollowOptions): AsyncGenerator<readonly EpisodeHeader[]>;
}
