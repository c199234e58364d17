/** Stands between a session's key and the name of the agent that uses it. */
export const AGENT_SEPARATOR = "~";

/** Who sends a request. */
export interface Caller<S> {
  session: S;
  /** The agent that the key names, where it names one. */
  agent: string | undefined;
}

/** Finds the session of an `Authorization: Bearer KEY`, or `KEY~agent`. */
export function findCaller<S>(header: string, sessions: ReadonlyMap<string, S>): Caller<S> | undefined {
  const key = /^Bearer\s+(.+)$/i.exec(header)?.[1]?.trim();
  if (key === undefined) return undefined;
  const whole = sessions.get(key);
  if (whole !== undefined) return { session: whole, agent: undefined };
  const end = key.lastIndexOf(AGENT_SEPARATOR);
  const session = end < 0 ? undefined : sessions.get(key.slice(0, end));
  return session && { session, agent: decoded(key.slice(end + 1)) };
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
