import { createHash } from "node:crypto";
import { patientFetch } from "../net/patient-fetch.js";
import { CALL_ORDINAL_HEADER } from "../serve/call-numbers.js";

type Fetch = typeof globalThis.fetch;

// As they were before any user code: a workflow that replaces `fetch` replaces its own only.
const { AbortSignal, Headers, Request } = globalThis;

/**
 * The `fetch` of one episode. It numbers equal requests of one agent to the episode's endpoints at the moment they are made: which of
 * them arrives first depends on sockets and timers, which is made first on the workflow alone. Different requests are not
 * numbered through: parallel branches make their later ones as replies come in.
 */
export function episodeFetch(baseUrls: readonly string[], signal: AbortSignal): Fetch {
  const made = new Map<string, number>();
  const count = (...request: string[]): number => {
    const key = createHash("sha256").update(JSON.stringify(request)).digest("base64");
    const before = made.get(key) ?? 0;
    made.set(key, before + 1);
    return before;
  };
  return (input, init = {}) => {
    const own = init.signal ?? (input instanceof Request ? input.signal : undefined);
    const numbered = { ...init, signal: own ? AbortSignal.any([own, signal]) : signal };
    const url = String(input instanceof Request ? input.url : input);
    if (typeof init.body === "string" && baseUrls.some((baseUrl) => url.startsWith(baseUrl))) {
      const headers = new Headers(init.headers);
      const agent = headers.get("authorization") ?? "";
      if (!headers.has(CALL_ORDINAL_HEADER)) headers.set(CALL_ORDINAL_HEADER, String(count(agent, url, init.body)));
      numbered.headers = headers;
    }
    return patientFetch(input, numbered);
  };
}

/** A `fetch` whose JSON bodies name `model`, whatever the workflow calls it: an endpoint outside answers to its own names. */
export function withModel(model: string, inner: Fetch): Fetch {
  return (input, init = {}) => {
    if (typeof init.body !== "string") return inner(input, init);
    return inner(input, { ...init, body: JSON.stringify({ ...JSON.parse(init.body), model }) });
  };
}
