import { AbortError } from "../native/errors.js";
import type { JobFailure } from "./episode.js";

/** Limits are counted in pieces: of a pause of the whole process (Ctrl-Z, a frozen container) one piece counts at most. */
const PIECE_MS = 1000;

/** Ends a job at its time limit, or when the rollout is cancelled. */
export class JobLimit implements Disposable {
  private readonly controller = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private readonly cancel = () => this.controller.abort(new AbortError("The rollout was cancelled"));

  /** @param outer Of the rollout. */
  constructor(private readonly outer: AbortSignal | undefined) {
    outer?.addEventListener("abort", this.cancel);
    if (outer?.aborted) this.cancel();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Starts a limit in place of the last one. Infinity is none. */
  start(what: string, timeoutMs: number): void {
    clearTimeout(this.timer);
    if (timeoutMs === Number.POSITIVE_INFINITY) return;
    this.wait(timeoutMs, () => this.controller.abort(new AbortError(`${what} ran longer than ${timeoutMs / 1000} s`)));
  }

  [Symbol.dispose](): void {
    clearTimeout(this.timer);
    this.outer?.removeEventListener("abort", this.cancel);
  }

  private wait(leftMs: number, end: () => void): void {
    const piece = Math.min(leftMs, PIECE_MS);
    this.timer = setTimeout(() => (leftMs > piece ? this.wait(leftMs - piece, end) : end()), piece);
  }
}

/** What happens while a judge runs is the judge's failure: the episode is dropped, and not run again. */
export function asJudgeFailure(outcome: JobFailure): JobFailure {
  const { failure, unrepeatable } = outcome;
  if (failure.kind === "judge") return outcome;
  const byClock = failure.kind === "timeout" || failure.kind === "stalled" ? [failure.message] : [];
  const message = failure.kind === "timeout" ? failure.message : `While it was judged: ${failure.message}`;
  return { ...outcome, failure: { ...failure, kind: "judge", message }, unrepeatable: [...unrepeatable, ...byClock] };
}
