// As they were before any user code: a workflow that replaces `fetch` replaces its own only.
const { fetch, Headers } = globalThis;

/** Under this name Node keeps what sends the requests of its `fetch`; a program may put a proxy there. */
const DISPATCHER = Symbol.for("undici.globalDispatcher.1");

interface Dispatcher {
  dispatch(options: object, handler: unknown): boolean;
}

/**
 * `fetch` that waits as long as its signal lets it. Node's own gives up where an answer does not begin within 300 s, or pauses
 * for as long, as that of a large model on a slow machine may.
 */
export const patientFetch: typeof globalThis.fetch = (input, init = {}) => {
  void new Headers(); // Node loads its `fetch`, and the dispatcher with it, when it is first used
  const { [DISPATCHER]: usual } = globalThis as { [DISPATCHER]?: Dispatcher };
  if (usual === undefined) return fetch(input, init);
  const dispatch: Dispatcher["dispatch"] = (options, handler) =>
    usual.dispatch({ ...options, headersTimeout: 0, bodyTimeout: 0 }, handler);
  return fetch(input, { ...init, dispatcher: { dispatch } } as RequestInit);
};
