import type { EpisodeFailure, FailureKind } from "./episode.js";

/** Ends an episode: the fault is the workflow's or the judge's. */
export class EpisodeError extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Runs user code; what it throws becomes an EpisodeError that names it. */
export async function blame<T>(kind: FailureKind, who: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof EpisodeError) throw error;
    throw new EpisodeError(kind, `${who} threw ${describeThrown(error)}`, { cause: error });
  }
}

/** For messages: name and text of an error, anything else as JSON. */
export function describeThrown(thrown: unknown): string {
  try {
    return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : (JSON.stringify(thrown) ?? String(thrown));
  } catch {
    return "a value that cannot be shown";
  }
}

/** An error as it crosses threads. */
export function failureOf(error: unknown): EpisodeFailure {
  const kind = error instanceof EpisodeError ? error.kind : "workflow";
  const message = error instanceof EpisodeError ? error.message : `The workflow threw ${describeThrown(error)}`;
  const cause = error instanceof EpisodeError ? error.cause : error;
  const stack = cause instanceof Error && typeof cause.stack === "string" ? cause.stack : undefined;
  return { kind, message, ...(stack === undefined ? {} : { stack }) };
}

/** True for a JSON-like object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
