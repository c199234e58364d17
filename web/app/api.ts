import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { ErrorReply } from "../../src/logview/api-types.js";

/** The access token stays in the page's own URL, so that reloading and links work; it is sent as a header. */
const TOKEN = new URLSearchParams(location.search).get("token") ?? "";

/** An answer that is an error. `status` is 0 where the server was not reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export async function get<T>(
  name: string,
  params: Record<string, string | number | null | undefined> = {},
  signal?: AbortSignal,
): Promise<T> {
  const known = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(known.map(([key, value]) => [key, String(value)]));
  let response: Response;
  try {
    response = await fetch(`api/${name}?${query}`, {
      headers: { authorization: `Bearer ${TOKEN}` },
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "The viewer does not answer: its command has ended. Start `ajet logview` again.");
  }
  const body: unknown = await response.json().catch(() => ({ error: `The viewer answered ${response.status}` }));
  if (!response.ok) throw new ApiError(response.status, (body as ErrorReply).error);
  return body as T;
}

/** A request's state. `data` stays what it was while a new answer is waited for. */
export interface Fetched<T> {
  data: T | undefined;
  error: string | undefined;
  loading: boolean;
}

/**
 * Asks when `key` changes, and then every `everyMs` while the page is seen.
 * @param key Null asks nothing.
 */
export function useFetched<T>(
  key: string | null,
  ask: (signal: AbortSignal) => Promise<T>,
  everyMs?: number,
): Fetched<T> {
  const [state, setState] = useState<Fetched<T>>({ data: undefined, error: undefined, loading: key !== null });
  const latest = useRef(ask);
  latest.current = ask;
  const run = useCallback(async (signal: AbortSignal) => {
    try {
      const data = await latest.current(signal);
      if (!signal.aborted) setState({ data, error: undefined, loading: false });
    } catch (error) {
      if (!signal.aborted) setState((old) => ({ ...old, error: (error as Error).message, loading: false }));
    }
  }, []);
  useEffect(() => {
    if (key === null) {
      setState({ data: undefined, error: undefined, loading: false });
      return undefined;
    }
    const controller = new AbortController();
    setState((old) => ({ ...old, error: undefined, loading: true }));
    void run(controller.signal);
    const timer =
      everyMs === undefined
        ? undefined
        : setInterval(() => {
            if (!document.hidden) void run(controller.signal);
          }, everyMs);
    return () => {
      controller.abort();
      clearInterval(timer);
    };
  }, [key, everyMs, run]);
  return state;
}
