/** One choice of one LLM call, token by token: the unit that is trained. */
export interface CallRecord {
  /** The response's id, `chatcmpl-…`. */
  callId: string;
  choice: number;
  /** Name of the agent that made it, where its key says so. */
  agent?: string;
  promptIds: Int32Array;
  sampledIds: Int32Array;
  logprobs: Float32Array;
  /** What the sampler divided by (0 was greedy). */
  temperature: number;
  firstVersion: number;
  lastVersion: number;
  finishReason: "stop" | "length" | "tool_calls" | "cancelled";
  /** Why this call must not be trained, if it must not. */
  dropReason?: DropReason;
  /** Order among the episode's calls: of arrival as the server records it, then as `orderCalls` has it. */
  ordinal: number;
  /** How many calls with the same prompt and sampling the session counts before this one. */
  repetition: number;
  /** `performance.now()` when the request was taken and when the reply was whole; absent where no one took the time. */
  startedMs?: number;
  endedMs?: number;
  /** Messages of the request and the reply, for the token log. */
  messages: unknown[];
  reply: unknown;
}

/** Why a captured call was left out of training. */
export type DropReason =
  | "cancelled"
  | "episode_failed"
  | "episode_timeout"
  | "judge_failed"
  | "episode_rerun"
  | "group_left_out"
  | "weights_changed"
  | "no_tokens"
  | "not_trainable";

/** What happened to a call in the end. */
export type CallVerdict = { fate: "trained" } | { fate: "merged" } | { fate: "dropped"; reason: DropReason };
