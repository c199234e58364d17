import type { PromptFork } from "../serve/contract.js";
import type { CallRecord } from "./call-record.js";

/**
 * Puts an episode's calls into an order that follows from what was said, not from when it arrived: a prompt that
 * continues another is longer, so shorter prompts come first; equal calls keep the order that their draws follow; the
 * ids, which are made of prompt and sampling, tell calls apart that differ in sampling alone.
 */
export function orderCalls(calls: readonly CallRecord[]): CallRecord[] {
  return [...calls].sort(compareCalls).map((call, ordinal) => ({ ...call, ordinal }));
}

function compareCalls(a: CallRecord, b: CallRecord): number {
  return (
    compareIds(a.promptIds, b.promptIds) ||
    a.repetition - b.repetition ||
    compareTexts(a.callId, b.callId) ||
    a.choice - b.choice
  );
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
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

/** Puts an episode's forks into an order that does not depend on which prompt arrived first. */
export function orderForks(forks: readonly PromptFork[]): PromptFork[] {
  return [...forks].sort((a, b) => a.messageIndex - b.messageIndex || compareTexts(a.field, b.field));
}
