import { nativeAddon } from "./addon.js";
import type { EngineHandle, ModelHandle, NativeTokenEvents } from "./addon-types.js";
import { decodeCompletions, decodeTokenEvents } from "./completions.js";
import { AbortError } from "./errors.js";
import type { Model } from "./model.js";
import { nativeCall, nativeCallSync, toInt32 } from "./native-call.js";
import type { Completion, EngineOptions, EngineStats, SamplingOptions, TokenEvent } from "./types.js";

export interface StreamOptions extends SamplingOptions {
  /** Aborting cancels the request and frees its blocks. */
  signal?: AbortSignal;
}

export interface GenerateOptions extends StreamOptions {
  /** Receives tokens as they are sampled, at most once an engine step. An error that it throws ends the request. */
  onTokens?: (events: readonly TokenEvent[]) => void;
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
      let listenerError: unknown;
      const request = this.#submit(
        promptIds,
        sampling,
        onTokens === undefined
          ? undefined
          : (events) => {
              try {
                onTokens(events);
              } catch (error) {
                listenerError = error ?? new Error("onTokens threw nothing");
                this.#cancel(request.id);
              }
            },
      );
      const completions = await this.#untilAborted(request, signal, keepPartial ?? false);
      if (listenerError !== undefined) throw listenerError;
      return completions;
    });
  }

  /** Yields tokens as they are sampled. The request starts with the first `next()`; leaving the loop cancels it. */
  async *stream(
    promptIds: Int32Array | readonly number[],
    options: StreamOptions,
  ): AsyncGenerator<TokenEvent, void, undefined> {
    const { signal, ...sampling } = options;
    throwIfAborted(signal);
    const queue: TokenEvent[] = [];
    let ended = false;
    let wake = (): void => {};
    const request = this.#submit(promptIds, sampling, (events) => {
      queue.push(...events);
      wake();
    });
    const done = nativeCall(this.stream, () => this.#untilAborted(request, signal, false)).finally(() => {
      ended = true;
      wake();
    });
    done.catch(() => {}); // awaited below, unless the consumer left the loop
    try {
      while (!ended || queue.length > 0) {
        const event = queue.shift();
        if (event !== undefined) yield event;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
      await done;
    } finally {
      if (!ended) this.#cancel(request.id);
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
    if (listener !== undefined) this.#listeners.set(id, listener);
    const completions = nativeAddonGenerate(this.#handle, id, prompt, options, listener !== undefined).finally(() =>
      this.#listeners.delete(id),
    );
    return { id, completions };
  }

  #cancel(request: number): void {
    this.#listeners.delete(request);
    nativeAddon().engineCancel(this.#handle, request);
  }

  /** The request's end, or AbortError as soon as the signal aborts. */
  async #untilAborted(
    request: { id: number; completions: Promise<Completion[]> },
    signal: AbortSignal | undefined,
    keepPartial: boolean,
  ): Promise<Completion[]> {
    if (signal === undefined) return request.completions;
    let onAbort = (): void => {};
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => {
        this.#cancel(request.id);
        if (!keepPartial) reject(abortError(signal));
      };
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([request.completions, aborted]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      request.completions.catch(() => {}); // after an abort nobody waits for it
    }
  }
}

async function nativeAddonGenerate(
  handle: EngineHandle,
  id: number,
  prompt: Int32Array,
  options: SamplingOptions,
  streaming: boolean,
): Promise<Completion[]> {
  return decodeCompletions(await nativeAddon().engineGenerate(handle, id, prompt, options, streaming));
}

function dispatch(listeners: Map<number, TokenListener>, native: NativeTokenEvents): void {
  for (const [request, events] of decodeTokenEvents(native)) listeners.get(request)?.(events);
}

function abortError(signal: AbortSignal): AbortError {
  return new AbortError("The request was aborted", { cause: signal.reason });
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}
