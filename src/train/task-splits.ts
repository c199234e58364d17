import type { Task } from "../agent/task.js";
import type { TaskSplit } from "../agent/task-reader.js";
import type { AjetConfig } from "../config/schema.js";
import { ConfigError } from "../native/errors.js";
import { readJsonlTasks } from "../tasks/jsonl-reader.js";
import type { EvaluationTasks } from "./evaluation.js";
import { type PathRoots, resolvePath } from "./resolve-path.js";

interface SplitOptions extends PathRoots {
  config: AjetConfig;
  /** Only the first `debug.debug_first_n_tasks` of each split. */
  debug?: boolean;
}

/** The tasks of the training split. */
export async function trainingTasks(options: SplitOptions): Promise<Task[]> {
  const tasks = await readSplit(options, "training");
  if (tasks !== undefined) return tasks;
  const key = `task_reader.${options.config.task_reader.type}.training.file_path`;
  throw new ConfigError(`\`${key}\` is missing: name a JSONL file with the tasks to train on`);
}

/** The held-out tasks, cut to `data.validation_limit`; none where the configuration names no file. */
export async function evaluationTasks(options: SplitOptions): Promise<EvaluationTasks> {
  const limit = options.config.data.validation_limit || Number.POSITIVE_INFINITY;
  const [validation = [], unseen = []] = [await readSplit(options, "validation"), await readSplit(options, "unseen")];
  return { validation: validation.slice(0, limit), unseen: unseen.slice(0, limit) };
}

async function readSplit(options: SplitOptions, split: TaskSplit): Promise<Task[] | undefined> {
  const { task_reader, debug } = options.config;
  const { file_path } = task_reader[task_reader.type][split];
  if (file_path === null) return undefined;
  const tasks = await readJsonlTasks(
    resolvePath(`task_reader.${task_reader.type}.${split}.file_path`, file_path, options),
  );
  return options.debug ? tasks.slice(0, debug.debug_first_n_tasks) : tasks;
}
