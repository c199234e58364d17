import { AbortError, ConfigError } from "../native/errors.js";

/** The process's exit codes. */
export const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** Which exit code an error leads to. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof ConfigError) return EXIT.usage;
  if (error instanceof AbortError) return EXIT.interrupted;
  return EXIT.failed;
}
