import type { EpisodeHeader, LoggedStep, LoggedToolCall } from "../report/token-log/types.js";
import type { CallVerdict } from "../rollout/call-record.js";

/** What the pages get from the server, under /api/. Types only: the front end imports them. */

/** One line of metrics.jsonl or validation.jsonl. */
export type MetricsRow = { step: number } & Record<string, number>;

/** How far a run is: `stopped` has neither a process nor a summary. */
export type RunStatus = "running" | "finished" | "stopped";

/** A run, as the list of runs shows it. */
export interface RunInfo {
  /** The folder, from the root on; "." where the root itself is the run. */
  id: string;
  name: string;
  kind: string;
  /** Name of the YAML that it was started from. */
  yaml: string | null;
  status: RunStatus;
  /** When metrics were last written, in ms since 1970. */
  updatedMs: number | null;
  step: number;
  totalSteps: number | null;
  /** Mean rewards by step, at most {@link MOST_SPARK_POINTS} of them. */
  spark: { steps: number[]; rewards: number[] };
  lastReward: number | null;
  lastSuccess: number | null;
  secondsPerStep: number | null;
  /** summary.json, once the run has ended. */
  summary: Record<string, unknown> | null;
  hasTokens: boolean;
}

/** Points of a run's small curve. */
export const MOST_SPARK_POINTS = 80;

/** `GET /api/runs`. */
export interface RunsReply {
  /** The root folder's own name. */
  folder: string;
  version: string;
  runs: RunInfo[];
}

/** `GET /api/metrics?run=&from=&generation=`: what was appended since. */
export interface MetricsReply {
  /** Changes when the run was resumed: what was read before may have been cut off. */
  generation: string;
  /** `from` of the next request. */
  next: number;
  /** True where what the client has is void. */
  reset: boolean;
  /** True where there is more already. */
  more: boolean;
  rows: MetricsRow[];
  /** All of validation.jsonl: it is short. */
  validation: MetricsRow[];
}

/** `GET /api/settings?run=`: the configuration, one dotted key a setting. */
export interface SettingsReply {
  settings: Record<string, string>;
}

/** `GET /api/steps?run=`. */
export interface StepsReply {
  steps: readonly LoggedStep[];
  /** What the reader left out and why. */
  notes: readonly string[];
}

/** `GET /api/episodes?run=&…`: a page of what meets the query. */
export interface EpisodesReply {
  episodes: readonly EpisodeHeader[];
  total: number;
  offset: number;
  /** What of the log could not be read, and why. */
  notes: readonly string[];
}

/** One LLM call of an episode, without its tokens. */
export interface CallInfo {
  callId: string;
  choice: number;
  agent: string | null;
  verdict: CallVerdict;
  finishReason: string;
  temperature: number;
  promptTokens: number;
  sampledTokens: number;
  startMs: number | null;
  endMs: number | null;
  messages: readonly unknown[];
  reply: unknown;
}

/** A row of an episode: the tokens of a call that no other goes on from, one entry a token. */
export interface Timeline {
  /** Indices of the calls whose tokens lie in it, in order. */
  calls: number[];
  ids: number[];
  texts: string[];
  /** Index into {@link EpisodeReply.calls} of the call that sampled the token; -1 where it was in a prompt. */
  sampledBy: number[];
  /** Null where it was not sampled. */
  logprobs: (number | null)[];
  /** Null where it was not trained. */
  entropies: (number | null)[];
  /** 1 where it is in the loss. */
  inLoss: number[];
  /** Null where it is not in the loss. */
  advantages: (number | null)[];
  /** Weights version; null where it was not sampled. */
  versions: (number | null)[];
}

/** `GET /api/episode?run=&key=`. */
export interface EpisodeReply {
  header: EpisodeHeader;
  reason: string | null;
  rewardParts: Readonly<Record<string, number>>;
  metadata: Readonly<Record<string, unknown>>;
  logMetrics: Readonly<Record<string, number>>;
  madness: string | null;
  failures: string[];
  unrepeatable: readonly string[];
  forks: readonly { messageIndex: number; field: string }[];
  calls: CallInfo[];
  toolCalls: readonly LoggedToolCall[];
  timelines: Timeline[];
}

/** A part of the group's token tree. */
export interface TreeNodeReply {
  parent: number;
  start: number;
  ids: number[];
  texts: string[];
  samples: readonly number[];
}

/** `GET /api/tree?run=&step=&group=`. */
export interface TreeReply {
  step: number;
  group: number;
  taskId: string;
  nodes: TreeNodeReply[];
  episodes: readonly EpisodeHeader[];
}

/** Any error. */
export interface ErrorReply {
  error: string;
}
