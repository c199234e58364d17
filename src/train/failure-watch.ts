import { describeFailures } from "../rollout/audit.js";
import type { EpisodeResult } from "../rollout/episode.js";

/** What fails all episodes of so many steps in a row does not go away by itself. */
const MOST_STEPS = 3;

/** Notices a run that trains nothing, since each of its episodes fails: a mistake in the workflow, a service that is gone. */
export class FailureWatch {
  #inARow = 0;

  /** Why the run is to end; undefined while there is hope. */
  check(step: number, results: readonly EpisodeResult[]): string | undefined {
    this.#inARow = results.every((result) => result.error) ? this.#inARow + 1 : 0;
    if (this.#inARow < MOST_STEPS) return undefined;
    const [commonest] = describeFailures(results);
    return (
      `All episodes of the last ${MOST_STEPS} steps were dropped, so that nothing was trained: ${commonest}. ` +
      `The run was saved after step ${step}: mend the cause and go on with --resume`
    );
  }
}
