import { setMaxListeners } from "node:events";
import { NativeError, NumericError, OutOfMemoryError } from "../native/errors.js";
import type { EpisodeRequest, EpisodeResult } from "../rollout/episode.js";
import type { EpisodeRunner, RolloutCallbacks, RolloutPhase } from "../rollout/episode-runner.js";

/**
 * Runs episodes until the model itself fails. That is no episode's fault: with NaN in its logits every episode would be
 * dropped, and the run would go on with nothing.
 */
export class GuardedRunner {
  readonly #failed = new AbortController();

  constructor(private readonly runner: EpisodeRunner) {
    setMaxListeners(0, this.#failed.signal);
  }

  /** Takes note of what the server answered with 500. */
  onServerError(error: unknown): void {
    if (isFatal(error)) this.#failed.abort(error);
  }

  /** As {@link EpisodeRunner.run}. @throws The model's failure, if it fails. */
  async run(
    requests: readonly EpisodeRequest[],
    phase: RolloutPhase,
    { signal, onEpisode }: RolloutCallbacks = {},
  ): Promise<EpisodeResult[]> {
    const failed = this.#failed.signal;
    const any = signal ? AbortSignal.any([signal, failed]) : failed;
    setMaxListeners(0, any); // every episode listens
    try {
      const results = await this.runner.run(requests, phase, { signal: any, ...(onEpisode ? { onEpisode } : {}) });
      failed.throwIfAborted();
      return results;
    } catch (error) {
      failed.throwIfAborted();
      throw error;
    }
  }
}

function isFatal(error: unknown): boolean {
  if (error instanceof NumericError || error instanceof OutOfMemoryError) return true;
  return error instanceof NativeError && error.code === "ERR_AJET_NATIVE_DEVICE";
}
