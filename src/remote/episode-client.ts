import type { ChatMessage } from "../agent/task.js";
import type { BaseUrlAndKey } from "../agent/tuner.js";
import { AjetError } from "../native/errors.js";
import { reasonOf } from "../net/fetch-failure.js";

/** An episode that an agent has taken. Its key ends with it. */
export interface RemoteEpisode extends BaseUrlAndKey {
  episodeId: string;
  task: { taskId: string; mainQuery: string; initMessages: ChatMessage[]; metadata: Record<string, unknown> };
  /** Which of the task's episodes, from 0. */
  sample: number;
  /** Training step, from 1; 0 in evaluations before training. */
  step: number;
  mode: "train" | "eval";
  /** Time until the run gives it up; null: no limit. */
  timeoutS: number | null;
}

/** What an agent says at the end of an episode. */
export interface RemoteOutput {
  /** `null` (default) leaves it to the run's judge, which finds what it needs in the metadata. */
  reward?: number | null;
  isSuccess?: boolean;
  metadata?: Record<string, unknown>;
  logMetrics?: Record<string, number>;
}

/** The episode API refused a request; `status` is HTTP's, 0 where nobody answered. */
export class EpisodeApiError extends AjetError {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super("ERR_AJET_EPISODE_API", message);
  }
}

/** What {@link EpisodeClient.begin} takes. */
export interface BeginOptions {
  /** How long to wait for an episode, at most 60 s, default 30. */
  waitS?: number;
  /** Less time for the episode than the run allows: after it, the run gives the episode up and has it run again. */
  timeoutS?: number;
  signal?: AbortSignal;
}

/** Takes episodes from a run whose workflow is `ajet->ExternalAgent`, and ends them. */
export class EpisodeClient {
  private hasAnswered = false;

  /** @param access Address (ending in `/v1`) and key of the run's episode API: what `episode_api.json` holds. */
  constructor(private readonly access: Pick<BaseUrlAndKey, "baseUrl" | "apiKey">) {}

  /** The next episode of the run; undefined where none came. */
  async begin({ waitS = 30, timeoutS, signal }: BeginOptions = {}): Promise<RemoteEpisode | undefined> {
    const body = { wait_s: waitS, ...(timeoutS === undefined ? {} : { timeout_s: timeoutS }) };
    const reply = await this.post("begin", this.access, body, signal);
    if (reply === undefined) return undefined;
    const { episode_id, task, base_url, api_key, model, timeout_s, sample, step, mode } = reply as unknown as BeginBody;
    const { task_id, main_query, init_messages, metadata } = task;
    return {
      episodeId: episode_id,
      ...{ baseUrl: base_url, apiKey: api_key, model, sample, step, mode, timeoutS: timeout_s },
      task: { taskId: task_id, mainQuery: main_query, initMessages: init_messages, metadata },
    };
  }

  /** Ends an episode with a reward, or with metadata for the judge. Calls of it that are under way are cancelled. */
  async end(episode: RemoteEpisode, { reward = null, isSuccess, metadata, logMetrics }: RemoteOutput): Promise<void> {
    await this.post("end", episode, { reward, is_success: isSuccess, metadata, log_metrics: logMetrics });
  }

  /** Gives an episode up. The run starts it anew, as often as `rollout.max_attempts` allows. */
  async abort(episode: RemoteEpisode, reason: string): Promise<void> {
    await this.post("abort", episode, { reason });
  }

  /**
   * Runs episodes until the run has ended: takes one, has `agent` play it, ends it; an agent that throws aborts its.
   * @returns How many were ended.
   * @throws EpisodeApiError where the key is wrong, or nobody answers from the start.
   */
  async run(
    agent: (episode: RemoteEpisode) => Promise<RemoteOutput>,
    { parallel = 1, signal, ...how }: BeginOptions & { parallel?: number } = {},
  ): Promise<number> {
    let ended = 0;
    const lane = async () => {
      for (;;) {
        const episode = await this.beginUntilRunEnds({ ...how, ...(signal ? { signal } : {}) });
        if (episode === undefined) return;
        const isEnded = await this.play(episode, agent);
        if (isEnded) ended++;
      }
    };
    await Promise.all(Array.from({ length: parallel }, lane));
    return ended;
  }

  private async beginUntilRunEnds(options: BeginOptions): Promise<RemoteEpisode | undefined> {
    for (;;) {
      if (options.signal?.aborted) return undefined;
      try {
        const episode = await this.begin(options);
        if (episode !== undefined) return episode;
      } catch (error) {
        if (options.signal?.aborted || this.isRunOver(error)) return undefined;
        throw error;
      }
    }
  }

  // The server is stopping, or nobody listens any more.
  private isRunOver(error: unknown): boolean {
    if (!(error instanceof EpisodeApiError)) return false;
    return error.status === 503 || (error.status === 0 && this.hasAnswered);
  }

  private async play(
    episode: RemoteEpisode,
    agent: (episode: RemoteEpisode) => Promise<RemoteOutput>,
  ): Promise<boolean> {
    try {
      const output = await agent(episode);
      await this.end(episode, output);
      return true;
    } catch (error) {
      // The run may have given the episode up by now: then there is nothing to abort.
      await this.abort(episode, error instanceof Error ? error.message : String(error)).catch(() => {});
      return false;
    }
  }

  private async post(
    what: "begin" | "end" | "abort",
    { baseUrl, apiKey }: Pick<BaseUrlAndKey, "baseUrl" | "apiKey">,
    body: object,
    signal?: AbortSignal,
  ): Promise<Record<string, unknown> | undefined> {
    const url = `${baseUrl}/episodes/${what}`;
    const response = await fetch(url, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      ...(signal ? { signal } : {}),
    }).catch((error: unknown) => {
      if (signal?.aborted) throw error;
      throw new EpisodeApiError(0, `No answer from ${url}: ${reasonOf(error)}`);
    });
    this.hasAnswered = true;
    if (response.status === 204) return undefined;
    const answer = (await response.json()) as Record<string, unknown> & { error?: { message: string } };
    if (!response.ok) throw new EpisodeApiError(response.status, answer.error?.message ?? `HTTP ${response.status}`);
    return answer;
  }
}

interface BeginBody {
  episode_id: string;
  base_url: string;
  api_key: string;
  model: string;
  task: { task_id: string; main_query: string; init_messages: ChatMessage[]; metadata: Record<string, unknown> };
  sample: number;
  step: number;
  mode: "train" | "eval";
  timeout_s: number | null;
}
