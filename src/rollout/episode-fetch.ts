import { createHash } from "node:crypto";
import { CALL_ORDINAL_HEADER } from "../serve/call-numbers.js";

type Fetch = typeof globalThis.fetch;

// As they were before any user code: a workflow that replaces `fetch` replaces its own only.
const { fetch, AbortSignal, Headers, Request } = globalThis;

/**
 * The `fetch` of one episode. It numbers equal requests to the episode's endpoint at the moment they are made: which of
 * them arrives first depends on sockets and timers, which is made first on the workflow alone. Different requests are not
 * numbered through: parallel branches make their later ones as replies come in.
 */
export function episodeFetch(baseUrl: string, signal: AbortSignal): Fetch {
  const made = new Map<string, number>();
  const count = (body: string): number => {
    const key = createHash("sha256").update(body).digest("base64");
    const before = made.get(key) ?? 0;
    made.set(key, before + 1);
    return before;
  };
  return (input, init = {}) => {
    const own = init.signal ?? (input instanceof Request ? input.signal : undefined);
    const numbered = { ...init, signal: own ? AbortSignal.any([own, signal]) : signal };
    if (typeof init.body === "string" && String(input).startsWith(baseUrl)) {
      const headers = new Headers(init.headers);
      if (!headers.has(CALL_ORDINAL_HEADER)) headers.set(CALL_ORDINAL_HEADER, String(count(init.body)));
      numbered.headers = headers;
    }
    return fetch(input, numbered);
  };
}
