import { describeFailures, describeForks, type ForkedEpisode } from "../rollout/audit.js";
import type { EpisodeResult } from "../rollout/episode.js";

/** Collects what is to be told of a run's episodes at its end, evaluations included. */
export class EpisodeReport {
  // Without their tokens: a long run may have many.
  readonly #failed: EpisodeResult[] = [];
  readonly #forked: ForkedEpisode[] = [];
  /** Why the run no longer repeats, where the clock decided something. */
  unrepeatable: string | undefined;

  add(result: EpisodeResult): void {
    const { task, sample, forks } = result;
    this.unrepeatable ??= result.unrepeatable[0];
    if (result.error || result.retried.length > 0) this.#failed.push({ ...result, calls: [], droppedCalls: [] });
    if (forks.length > 0) this.#forked.push({ task, sample, forks });
  }

  /** One line per cause of failure, most dropped episodes first. */
  failures(): string[] {
    return describeFailures(this.#failed);
  }

  /** One line per message and field in which prompts left the recorded tokens, most episodes first. */
  forks(): string[] {
    return describeForks(this.#forked);
  }
}
