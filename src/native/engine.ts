import { throwIfAborted, untilAborted } from "./abort.js";
import { nativeAddon } from "./addon.js";
import type { EngineHandle, ModelHandle, NativeTokenEvents } from "./addon-types.js";
import { decodeCompletions, decodeTokenEvents } from "./completions.js";
import type { Model } from "./model.js";
import { nativeCall, nativeCallSync, toInt32 } from "./native-call.js";
import type { Completion, EngineOptions, EngineStats, SamplingOptions, TokenEvent } from "./types.js";

export interface StreamOptions extends SamplingOptions {
  /** Aborting cancels the request and frees its blocks. */
  signal?: AbortSignal;
}

export interface GenerateOptions extends StreamOptions {
  /**
   * Receives tokens as they are sampled, at most once an engine step. An error that it throws ends the request.
   * `endChoice` ends one choice early: it resolves with its tokens so far (`finishReason` "cancelled"), which may be a few
   * more than have been told by then.
   */
  onTokens?: (events: readonly TokenEvent[], endChoice: (choice: number) => void) => void;
  /** When `signal` aborts: resolve with the tokens so far (`finishReason` "cancelled") instead of rejecting. */
  keepPartial?: boolean;
}

type TokenListener = (events: TokenEvent[]) => void;

/** Continuous batching over the model's weights: any number of requests at once, shared prefixes computed once. */
export class Engine implements AsyncDisposable {
  readonly #handle: EngineHandle;
  readonly #listeners = new Map<number, TokenListener>();
  #lastRequest = 0;
  /** Prompt plus completion, in tokens. */
  readonly maxContext: number;

  private constructor(
    readonly model: Model,
    handle: EngineHandle,
  ) {
    this.#handle = handle;
    this.maxContext = nativeAddon().engineMaxContext(handle);
    const listeners = this.#listeners; // not `this`: the handle must not keep the engine alive
    handle.onTokens = (events) => dispatch(listeners, events);
  }

  /** @internal Use `model.createEngine()`. */
  static async open(model: Model, handle: ModelHandle, options: EngineOptions): Promise<Engine> {
    return new Engine(model, await nativeAddon().createEngine(handle, options));
  }

  /** Samples completions of a prompt, one element a choice. */
  async generate(promptIds: Int32Array | readonly number[], options: GenerateOptions): Promise<Completion[]> {
    const { signal, onTokens, keepPartial, ...sampling } = options;
    return nativeCall(this.generate, async () => {
      if (!keepPartial) throwIfAborted(signal);
      if (signal?.aborted) return nothingSampled(sampling.choices ?? 1, this.model.version);
      let thrown: { error: unknown } | undefined;
      const listen: TokenListener = (events) => {
        try {
          onTokens?.(events, cancel);
        } catch (error) {
          thrown = { error };
          cancel();
        }
      };
      const { work, cancel } = this.#submit(promptIds, sampling, onTokens && listen);
      const completions = await untilAborted(work, signal, cancel, keepPartial);
      if (thrown) throw thrown.error;
      return completions;
    });
  }

  /** Yields tokens as they are sampled. The request starts with the first `next()`; leaving the loop cancels it. */
  async *stream(
    promptIds: Int32Array | readonly number[],
    options: StreamOptions,
  ): AsyncGenerator<TokenEvent, void, undefined> {
    const { signal, ...sampling } = options;
    const queue: TokenEvent[] = [];
    let wake = (): void => {};
    let ended = false;
    let cancel = (): void => {};
    const done = nativeCall(this.stream, async () => {
      throwIfAborted(signal);
      const request = this.#submit(promptIds, sampling, (events) => {
        queue.push(...events);
        wake();
      });
      cancel = request.cancel;
      await untilAborted(request.work, signal, cancel);
    }).finally(() => {
      ended = true;
      wake();
    });
    done.catch(() => {}); // awaited below, unless the consumer leaves the loop
    try {
      while (!ended || queue.length > 0) {
        const event = queue.shift();
        if (event !== undefined) yield event;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
      await done;
    } finally {
      if (!ended) cancel();
    }
  }

  /** Ends every request; their promises resolve with the tokens so far (`finishReason` "cancelled"). */
  async cancelAll(): Promise<void> {
    await nativeCall(this.cancelAll, () => nativeAddon().engineCancelAll(this.#handle));
  }

  /** As after the last engine step. */
  stats(): EngineStats {
    return nativeCallSync(this.stats, () => nativeAddon().engineStats(this.#handle));
  }

  /** Forgets the cached prefixes that no running sequence uses. */
  async resetPrefixCache(): Promise<void> {
    await nativeCall(this.resetPrefixCache, () => nativeAddon().engineResetPrefixCache(this.#handle));
  }

  /** Rejects what is pending with DisposedError and frees the cache. Idempotent. */
  async dispose(): Promise<void> {
    await nativeCall(this.dispose, () => nativeAddon().engineDispose(this.#handle));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #submit(promptIds: Int32Array | readonly number[], options: SamplingOptions, listener: TokenListener | undefined) {
    const id = ++this.#lastRequest;
    const prompt = toInt32("generate", "promptIds", promptIds);
    if (listener) this.#listeners.set(id, listener);
    const work = (async () => {
      try {
        const native = await nativeAddon().engineGenerate(this.#handle, id, prompt, options, listener !== undefined);
        return decodeCompletions(native);
      } finally {
        this.#listeners.delete(id);
      }
    })();
    const cancel = (choice?: number): void => {
      if (choice === undefined) this.#listeners.delete(id);
      nativeAddon().engineCancel(this.#handle, id, choice);
    };
    return { work, cancel };
  }
}

function dispatch(listeners: Map<number, TokenListener>, native: NativeTokenEvents): void {
  for (const [request, events] of decodeTokenEvents(native)) listeners.get(request)?.(events);
}

/** The completions of a request that was cancelled before it started. */
function nothingSampled(choices: number, version: number): Completion[] {
  return Array.from({ length: choices }, (_, choice) => ({
    choice,
    tokens: new Int32Array(0),
    logprobs: new Float32Array(0),
    finishReason: "cancelled" as const,
    cachedTokens: 0,
    firstVersion: version,
    lastVersion: version,
    top: [],
  }));
}
