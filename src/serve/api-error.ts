/** The error object of the OpenAI API. */
export interface ApiErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}

/** An error that a client gets to see, with its HTTP status. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly details: { param?: string; code?: string; type?: string; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** The response's body. */
  get body(): ApiErrorBody {
    const { param, code, type } = this.details;
    return {
      error: { message: this.message, type: type ?? typeOf(this.status), param: param ?? null, code: code ?? null },
    };
  }
}

function typeOf(status: number): string {
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

/** 400: the field `param` has a value that cannot be served. */
export function invalidField(param: string, message: string, code?: string): ApiError {
  return new ApiError(400, message, code === undefined ? { param } : { param, code });
}

/** 400 in the one sentence that all type and range errors share. */
export function unexpectedField(param: string, expected: string, received: unknown): ApiError {
  return invalidField(param, `Expected ${expected} for \`${param}\` but received ${describe(received)}`);
}

/** 401 */
export function unauthorized(message: string): ApiError {
  return new ApiError(401, message, { code: "invalid_api_key", headers: { "www-authenticate": "Bearer" } });
}

/** 401 for a call that was under way when its key was revoked. */
export function keyRevoked(): ApiError {
  return unauthorized("The API key was revoked while the request was being answered: its session has ended");
}

/** 404 */
export function unknownUrl(method: string, url: string): ApiError {
  return new ApiError(404, `Unknown request URL: ${method} ${url}`, { code: "unknown_url" });
}

/** 405 */
export function methodNotAllowed(method: string, url: string, allowed: string): ApiError {
  return new ApiError(405, `Not allowed to ${method} on ${url}; use ${allowed}`, {
    code: "method_not_supported",
    headers: { allow: allowed },
  });
}

/** 429: more requests at once than the server was told to queue. */
export function queueFull(limit: number): ApiError {
  return new ApiError(429, `${limit} requests are waiting already; try again later`, {
    code: "queue_full",
    headers: { "retry-after": "1" },
  });
}

/** nginx' status for a client that closed its connection. */
export const CLIENT_CLOSED = 499;

/** The client closed its connection: nobody reads this one, but metrics count it. */
export function clientGone(): ApiError {
  return new ApiError(CLIENT_CLOSED, "The client closed the connection", { code: "client_closed" });
}

/** 503 */
export function serverStopping(): ApiError {
  return new ApiError(503, "The server is stopping", { code: "server_stopping" });
}

/** 503: the engine was told to end everything, by someone else than client or session. */
export function generationCancelled(): ApiError {
  return new ApiError(503, "The generation was cancelled", { code: "generation_cancelled" });
}

/** What a client is told of any failure: its own mistakes in detail, the rest as a 500. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const { statusCode, code, message } = error as { statusCode?: number; code?: string; message?: string };
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    return new ApiError(413, "The request body is larger than the server accepts", { code: "body_too_large" });
  }
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") {
    return new ApiError(415, "Expected `Content-Type: application/json`", { code: "unsupported_media_type" });
  }
  if (code === "ERR_AJET_WRITER_GONE")
    return new ApiError(503, message ?? "The weights are gone", { code: "weights_gone" });
  if (code === "ERR_AJET_DISPOSED") return serverStopping();
  if (code === "ERR_AJET_NATIVE_INVALID_ARGUMENT") return new ApiError(400, message ?? "Bad request", { code });
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new ApiError(statusCode, message ?? "Bad request");
  }
  return new ApiError(500, `The server failed: ${message ?? String(error)}`, { code: code ?? "internal_error" });
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
