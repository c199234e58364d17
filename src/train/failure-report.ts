import { describeFailures } from "../rollout/audit.js";
import type { EpisodeResult } from "../rollout/episode.js";

/** Collects what went wrong in a run's episodes, evaluations included. */
export class FailureReport {
  readonly #failed: EpisodeResult[] = [];
  /** Why the run no longer repeats, where the clock decided something. */
  unrepeatable: string | undefined;

  add(result: EpisodeResult): void {
    this.unrepeatable ??= result.unrepeatable[0];
    // Without their tokens: a long run may have many.
    if (result.error || result.retried.length > 0) this.#failed.push({ ...result, calls: [], droppedCalls: [] });
  }

  /** One line per cause, most dropped episodes first. */
  lines(): string[] {
    return describeFailures(this.#failed);
  }
}
