/** Timers take no more. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** `AbortSignal.timeout`, which takes whole numbers that are not too large, for any positive one: 32.2 s are no whole number of ms. */
export function timeLimit(ms: number): AbortSignal {
  return AbortSignal.timeout(Math.min(Math.ceil(ms), LONGEST_TIMER_MS));
}
