import { setTimeout as sleep } from "node:timers/promises";
import type { WorkflowTask } from "../agent/task.js";
import { envServiceOf } from "../env/env-service-settings.js";
import { EpisodeEnv } from "../env/episode-env.js";

/** An episode does not wait longer for the service to take its instance back. */
const RELEASE_MS = 2000;

/**
 * Where a run's tasks come from an environment service: makes an instance for the episode, which the workflow finds as
 * `workflowTask.gymEnv`, and gives it back at the episode's end, however it ends. Else only `run`.
 */
export async function inEnvironment<T>(
  config: unknown,
  workflowTask: WorkflowTask,
  signal: AbortSignal,
  run: (task: WorkflowTask) => Promise<T>,
): Promise<T> {
  const settings = envServiceOf(config);
  if (settings === undefined) return run(workflowTask);
  const { task, episodeUuid } = workflowTask;
  const id = String(task.metadata["env_task_id"] ?? task.taskId);
  const gymEnv = await EpisodeEnv.create(settings, id, episodeUuid, signal);
  let released: Promise<void> | undefined;
  const release = () => {
    released ??= gymEnv.release();
    return released;
  };
  // A workflow that hangs never comes to the `finally` below.
  signal.addEventListener("abort", release, { once: true });
  try {
    const [last] = gymEnv.messages.slice(-1);
    const mainQuery = typeof last?.content === "string" ? last.content : task.mainQuery;
    return await run({ ...workflowTask, gymEnv, task: { ...task, mainQuery, initMessages: [...gymEnv.messages] } });
  } finally {
    await Promise.race([release(), sleep(RELEASE_MS, undefined, { ref: false })]);
  }
}
