import type { CallRecord } from "./call-record.js";

/**
 * Puts an episode's calls into an order that follows from what was said, not from when it arrived: a prompt that
 * continues another is longer, so shorter prompts come first; calls with one prompt keep the order they were counted in.
 */
export function orderCalls(calls: readonly CallRecord[]): CallRecord[] {
  return [...calls].sort(compareCalls).map((call, ordinal) => ({ ...call, ordinal }));
}

function compareCalls(a: CallRecord, b: CallRecord): number {
  return compareIds(a.promptIds, b.promptIds) || a.ordinal - b.ordinal || a.choice - b.choice;
}

/** By length, then by the first token that differs. */
function compareIds(a: Int32Array, b: Int32Array): number {
  if (a.length !== b.length) return a.length - b.length;
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}
