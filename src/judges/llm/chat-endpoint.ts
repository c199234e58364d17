import type { LlmQuestion } from "../../agent/judge.js";
import { patientFetch } from "../../net/patient-fetch.js";
import { timeLimit } from "../../net/time-limit.js";
import type { LlmSettings } from "./llm-settings.js";

/** A try that failed. */
export class EndpointError extends Error {
  constructor(
    message: string,
    /** The next try may succeed. */
    readonly retryable: boolean,
    /** How long the endpoint asked to wait. */
    readonly retryAfterMs = 0,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = "EndpointError";
  }
}

/** Statuses below 500 that pass: time-out, conflict, too early, rate limit. */
const PASSING_STATUSES = new Set([408, 409, 425, 429]);

/** Of an error's body, in messages. */
const SHOWN_CHARACTERS = 300;

/** `POST <base URL>/chat/completions`, one try. */
export class ChatEndpoint {
  readonly url: string;

  constructor(private readonly settings: LlmSettings) {
    this.url = `${settings.baseUrl}/chat/completions`;
  }

  /** The request's body: equal questions give equal bodies. */
  bodyOf({ messages }: LlmQuestion): string {
    const { model, temperature, maxTokens, params } = this.settings;
    const plain = messages.map(({ role, content }) => ({ role, content }));
    const fields = Object.entries({ model, messages: plain, temperature, max_tokens: maxTokens, ...params });
    return JSON.stringify(Object.fromEntries(fields.filter(([, value]) => value !== null)));
  }

  /** The answer's text. @throws EndpointError */
  async complete(body: string, signal: AbortSignal): Promise<string> {
    const { apiKey, timeoutMs } = this.settings;
    const limit = timeLimit(timeoutMs);
    let response: Response;
    let text: string;
    try {
      response = await patientFetch(this.url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        },
        body,
        signal: AbortSignal.any([signal, limit]),
      });
      text = await response.text();
    } catch (error) {
      signal.throwIfAborted();
      if (limit.aborted) throw new EndpointError(`did not answer within ${timeoutMs / 1000} s`, true);
      const { cause } = error as { cause?: { code?: string; message?: string } };
      const why = cause?.code ?? cause?.message ?? (error as Error).message;
      throw new EndpointError(`could not be reached: ${why}`, true, 0, { cause: error });
    }
    if (!response.ok) throw refusal(response, text);
    return answerOf(text);
  }
}

function refusal({ status, headers }: Response, text: string): EndpointError {
  const retryable = status >= 500 || PASSING_STATUSES.has(status);
  const remedy = status === 401 || status === 403 ? " (is the key right?)" : "";
  return new EndpointError(`answered ${status}${remedy}: ${shorten(errorText(text))}`, retryable, retryAfter(headers));
}

function answerOf(text: string): string {
  try {
    const body = JSON.parse(text) as { choices?: { message?: { content?: unknown } }[] } | null;
    const content = body?.choices?.[0]?.message?.content;
    if (typeof content === "string") return content;
  } catch {}
  throw new EndpointError(`answered with no chat completion: ${shorten(text)}`, true);
}

function errorText(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown } | string };
    const message = typeof error === "object" ? error.message : error;
    return typeof message === "string" ? message : text;
  } catch {
    return text;
  }
}

function shorten(text: string): string {
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`;
}

/** `Retry-After` in seconds or as a date, or OpenAI's `retry-after-ms`; 0 where there is none. */
export function retryAfter(headers: Headers): number {
  const milliseconds = Number.parseFloat(headers.get("retry-after-ms") ?? "");
  if (milliseconds > 0) return milliseconds;
  const value = headers.get("retry-after") ?? "";
  const seconds = /^\s*\d+(\.\d+)?\s*$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return seconds > 0 ? seconds * 1000 : 0;
}
