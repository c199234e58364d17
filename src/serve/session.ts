import type { JsonObject } from "../text/json-file.js";
import { LruCache } from "../text/lru-cache.js";
import { type ApiError, keyRevoked } from "./api-error.js";
import { CallNumbers } from "./call-numbers.js";
import type { ChatRequest } from "./chat-request.js";
import type { OpenSession, PromptFork, ServeSession } from "./contract.js";
import { digest, idOf, seedOf } from "./digest.js";
import type { PlacedFork } from "./prompt-builder.js";
import { SessionMessages } from "./session-messages.js";

/** What tells calls with the same prompt apart. */
export type CallSampling = Pick<
  ChatRequest,
  "temperature" | "topP" | "topK" | "minP" | "maxTokens" | "n" | "stop" | "seed"
>;

/** Who a call is: decided by its session, its prompt and its number among equal calls. */
export interface CallIdentity {
  /** `chatcmpl-…` */
  callId: string;
  /** Arrival order within the session. */
  ordinal: number;
  /** Number among the session's equal calls, from 0. */
  repetition: number;
  /** Decides every draw of the call. */
  seed: bigint;
  toolCallId(choice: number, index: number): string;
}

const REMEMBERED_ITEMS = 8192;
const COUNTED_CALLS = 65536;
/** A server with one fixed key must not grow without end. */
const MAX_FORKS = 10_000;

/** One key's state: its replies, its counters, its requests in flight. */
export class Session implements OpenSession {
  readonly replies = new SessionMessages();
  readonly forks: PromptFork[] = [];
  /** Output items of `/v1/responses`, which later requests may name by id. */
  readonly items = new LruCache<string, JsonObject>(REMEMBERED_ITEMS);
  private readonly equalCalls = new LruCache<string, CallNumbers>(COUNTED_CALLS);
  private readonly forkKeys = new LruCache<string, true>(MAX_FORKS);
  private readonly running = new Map<AbortController, Promise<void>>();
  private calls = 0;

  constructor(readonly options: ServeSession) {}

  get apiKey(): string {
    return this.options.apiKey;
  }

  get inFlight(): number {
    return this.running.size;
  }

  /**
   * Counts a call in. Its seed mixes the session's, its number among equal calls (same prompt, same sampling), and the
   * request's own; outside training a request with a seed repeats, so there the rest is left out.
   * @param issued The number as the client counted when it made the call; without it, calls are counted as they arrive.
   */
  identify(promptIds: Int32Array, sampling: CallSampling, issued?: number, agent?: string): CallIdentity {
    const { temperature, topP, topK, minP, maxTokens, n, stop, seed: requestSeed } = sampling;
    const named = agent === undefined ? [] : [agent]; // so that one agent's calls do not count in another's
    const options = JSON.stringify([temperature, topP, topK, minP, maxTokens, n, stop, String(requestSeed), ...named]);
    const call = digest("call", promptIds, options).toString("base64");
    const numbers = this.equalCalls.get(call) ?? new CallNumbers();
    this.equalCalls.set(call, numbers);
    const repetition = numbers.take(issued);
    const { seed, training } = this.options;
    const id = idOf("id", seed, call, repetition);
    const repeats = requestSeed !== undefined && !training;
    const drawn = repeats ? seedOf("seeded draw", seed, requestSeed) : seedOf("draw", seed, call, repetition);
    return {
      callId: `chatcmpl-${id}`,
      ordinal: this.calls++,
      repetition,
      seed: drawn,
      toolCallId: (choice, index) => `call_${idOf("tool call", id, choice, index)}`,
    };
  }

  /** Notes differences that no earlier call of the session has shown. */
  noteForks(forks: readonly PlacedFork[]): void {
    for (const { messageIndex, field, conversation } of forks) {
      const key = `${conversation} ${field}`;
      if (this.forkKeys.get(key) !== undefined) continue;
      this.forkKeys.set(key, true);
      if (this.forks.length < MAX_FORKS) this.forks.push({ messageIndex, field });
    }
  }

  /** Runs a request that `close` can abort and wait for. */
  async run<T>(controller: AbortController, request: () => Promise<T>): Promise<T> {
    const result = request();
    const settled = result.then(
      () => {},
      () => {},
    );
    this.running.set(controller, settled);
    try {
      return await result;
    } finally {
      this.running.delete(controller);
    }
  }

  /** Aborts what is in flight and waits for it to end. */
  async close(reason: ApiError = keyRevoked()): Promise<void> {
    for (const controller of this.running.keys()) controller.abort(reason);
    await Promise.all(this.running.values());
  }
}
