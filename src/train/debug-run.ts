import type { EpisodeResult } from "../rollout/episode.js";
import { writeJsonAtomically } from "./atomic-file.js";
import type { RunFolder } from "./run-folder.js";
import { Session, type SessionOptions } from "./session.js";
import { trainingTasks } from "./task-splits.js";
import { openTokenLog } from "./token-log.js";
import { buildStepBatch, stepVerdicts } from "./train-batch.js";

/** What {@link runDebug} needs. */
export interface DebugOptions extends SessionOptions {
  folder: RunFolder;
  /** Called when everything is loaded. */
  claimFolder(): void;
  signal?: AbortSignal;
  /** Called before the first episode. */
  onStart?(start: { device: string; isolation: string; tasks: number; episodes: number }): void;
  /** Called as each episode ends. */
  onEpisode?(result: EpisodeResult): void;
}

/**
 * Runs the episodes of the first `debug.debug_first_n_tasks` tasks as step 1 of a training run would, with user code on
 * this thread and without time limits, so that a debugger can stop in it. Nothing is trained; the token log is written.
 */
export async function runDebug(options: DebugOptions): Promise<object> {
  const { config, folder, signal, onEpisode } = options;
  const tasks = await trainingTasks({ ...options, debug: true });
  const { num_repeat, temperature, max_response_length_in_one_turn: maxTokens } = config.rollout;
  const requests = tasks.flatMap((task) => Array.from({ length: num_repeat }, (_, sample) => ({ task, sample })));
  await using session = await Session.open({ ...options, debug: true });
  options.claimFolder();
  session.publishEpisodeApi(folder.path);
  options.onStart?.({
    device: session.model.deviceLine,
    isolation: session.sandbox.description,
    tasks: tasks.length,
    episodes: requests.length,
  });
  const results = await session.runner.run(
    requests,
    { mode: "train", purpose: "debug", step: 1, temperature, maxTokens },
    { ...(signal ? { signal } : {}), onEpisode: (result) => onEpisode?.(result) },
  );
  const groups = results.map((_, i) => Math.floor(i / num_repeat));
  const batch = buildStepBatch(results, groups, session.model.version);
  const verdicts = stepVerdicts(batch, undefined);
  const log = await openTokenLog(folder.tokensFolder, 0, config, session.tokenizer);
  log.write({ step: 1, results, groups, batch, stats: undefined, verdicts });
  log.close();
  const summary = summarise(results, tasks.length);
  writeJsonAtomically(folder.summaryFile, summary);
  return summary;
}

function summarise(results: readonly EpisodeResult[], tasks: number): object {
  const kept = results.filter((result) => !result.error);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);
  return {
    tasks,
    episodes: results.length,
    episodes_dropped: results.length - kept.length,
    success_rate: mean(kept.map(({ isSuccess }) => Number(isSuccess))),
    mean_reward: mean(kept.map(({ reward }) => reward)),
    calls: results.reduce((sum, { calls, droppedCalls }) => sum + calls.length + droppedCalls.length, 0),
  };
}
