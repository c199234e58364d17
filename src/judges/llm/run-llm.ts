import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { JudgeLlm, LlmQuestion } from "../../agent/judge.js";
import { AbortError } from "../../native/errors.js";
import { AnswerCache } from "./answer-cache.js";
import { CallLimit } from "./call-limit.js";
import { ChatEndpoint, EndpointError } from "./chat-endpoint.js";
import { LlmError } from "./llm-error.js";
import type { LlmSettings } from "./llm-settings.js";

const LONGEST_DELAY_MS = 30_000;
/** An endpoint that asks for a longer pause has no quota left; the judge's own limit would end the wait anyway. */
const LONGEST_PAUSE_MS = 120_000;

/**
 * The judges' LLM of a whole run. It lives on the main thread, where all worker threads ask: so the limit, the pauses that
 * the endpoint asks for, and the cache hold for the run, and a thread that is ended takes no place in the line along.
 */
export class RunLlm implements JudgeLlm {
  private readonly endpoint: ChatEndpoint;
  private readonly limit: CallLimit;
  private readonly cache: AnswerCache | undefined;
  /** Equal questions that are under way share one answer. */
  private readonly underWay = new Map<string, Promise<string>>();
  private readonly closing = new AbortController();
  private pauseEnds = 0;
  private cacheFailed = false;

  /** @param onProblem Told, once, of a cache that cannot be written. */
  constructor(
    private readonly settings: LlmSettings,
    private readonly onProblem: (message: string) => void = () => {},
  ) {
    setMaxListeners(0, this.closing.signal); // every wait listens
    this.endpoint = new ChatEndpoint(settings);
    this.limit = new CallLimit(settings.maxParallel);
    this.cache = settings.cacheFolder === undefined ? undefined : new AnswerCache(settings.cacheFolder);
  }

  /** @throws LlmError when every try failed, or the first one for good. */
  async ask(question: LlmQuestion): Promise<string> {
    const body = this.endpoint.bodyOf(question);
    const key = `${question.refresh === true} ${body}`;
    const other = this.underWay.get(key);
    if (other) return other;
    const answer = this.answer(body, question.refresh === true).finally(() => this.underWay.delete(key));
    this.underWay.set(key, answer);
    return answer;
  }

  /** Ends what is under way. */
  close(): void {
    this.closing.abort(new AbortError("The run has ended"));
  }

  private async answer(body: string, refresh: boolean): Promise<string> {
    const known = refresh ? undefined : await this.cache?.get(this.endpoint.url, body);
    if (known !== undefined) return known;
    const answer = await this.askWithRetries(body);
    try {
      await this.cache?.set(this.endpoint.url, body, answer);
    } catch (error) {
      if (!this.cacheFailed) this.onProblem(`The judge's cache cannot be written: ${(error as Error).message}`);
      this.cacheFailed = true;
    }
    return answer;
  }

  private async askWithRetries(body: string): Promise<string> {
    const { signal } = this.closing;
    const { maxRetries } = this.settings;
    for (let retries = 0; ; retries++) {
      try {
        return await this.limit.run(() => this.askOnce(body));
      } catch (error) {
        if (!(error instanceof EndpointError)) throw error;
        const isTooLong = error.retryAfterMs > LONGEST_PAUSE_MS;
        if (!error.retryable || isTooLong || retries >= maxRetries) throw this.givingUp(error, retries, isTooLong);
        await sleep(this.delay(retries), undefined, { signal });
      }
    }
  }

  private async askOnce(body: string): Promise<string> {
    await this.pause();
    try {
      return await this.endpoint.complete(body, this.closing.signal);
    } catch (error) {
      // Noted before the next in line gets this call's place.
      const { retryAfterMs = 0 } = error as Partial<EndpointError>;
      if (retryAfterMs <= LONGEST_PAUSE_MS) this.pauseEnds = Math.max(this.pauseEnds, performance.now() + retryAfterMs);
      throw error;
    }
  }

  /** Waits until the endpoint takes calls again. */
  private async pause(): Promise<void> {
    for (let left = this.pauseEnds - performance.now(); left > 0; left = this.pauseEnds - performance.now()) {
      await sleep(left, undefined, { signal: this.closing.signal });
    }
  }

  /** Doubles from retry to retry, and differs by up to a half, so that calls that failed together do not return together. */
  private delay(retries: number): number {
    const longest = Math.min(this.settings.firstDelayMs * 2 ** retries, LONGEST_DELAY_MS);
    return longest * (0.5 + Math.random() / 2);
  }

  private givingUp(error: EndpointError, retries: number, isTooLong: boolean): LlmError {
    const { model } = this.settings;
    const tries = error.retryable && retries > 0 ? ` (${retries + 1} tries)` : "";
    const wait = isTooLong ? `; it asks to wait ${Math.round(error.retryAfterMs / 1000)} s` : "";
    return new LlmError(`The judge's LLM ${model} at ${this.endpoint.url} ${error.message}${wait}${tries}`, {
      cause: error,
    });
  }
}
