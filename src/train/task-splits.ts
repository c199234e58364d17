import type { Task } from "../agent/task.js";
import type { TaskSplit } from "../agent/task-reader.js";
import type { AjetConfig } from "../config/schema.js";
import { ConfigError } from "../native/errors.js";
import type { OnProgress } from "../tasks/hub/dataset-files.js";
import type { EvaluationTasks } from "./evaluation.js";
import type { PathRoots } from "./resolve-path.js";
import { createTaskSource, type TaskSource } from "./task-readers.js";

interface SplitOptions extends PathRoots {
  config: AjetConfig;
  /** Only the first `debug.debug_first_n_tasks` of each split. */
  debug?: boolean;
  /** Told how far a download of the data set is. */
  listener?: { onFetch?: OnProgress };
}

/** The tasks of the training split. */
export async function trainingTasks(options: SplitOptions): Promise<Task[]> {
  const source = sourceOf(options);
  const tasks = await readSplit(options, source, "training");
  if (tasks !== undefined) return tasks;
  throw new ConfigError(`\`${source.origin("training").key}\` is missing: name what holds the tasks to train on`);
}

/** The held-out tasks, cut to `data.validation_limit`; none where the configuration names none. */
export async function evaluationTasks(options: SplitOptions): Promise<EvaluationTasks> {
  const limit = options.config.data.validation_limit || Number.POSITIVE_INFINITY;
  const source = sourceOf(options);
  const validation = (await readSplit(options, source, "validation")) ?? [];
  const unseen = (await readSplit(options, source, "unseen")) ?? [];
  return { validation: validation.slice(0, limit), unseen: unseen.slice(0, limit) };
}

function sourceOf(options: SplitOptions): TaskSource {
  const { listener } = options;
  return createTaskSource({ ...options, onFetch: (progress) => listener?.onFetch?.(progress) });
}

async function readSplit(options: SplitOptions, source: TaskSource, split: TaskSplit): Promise<Task[] | undefined> {
  if (source.origin(split).value === null) return undefined;
  const tasks = await source.reader.read(split);
  return options.debug ? tasks.slice(0, options.config.debug.debug_first_n_tasks) : tasks;
}
