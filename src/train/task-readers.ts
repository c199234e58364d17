import type { TaskReader, TaskSplit } from "../agent/task-reader.js";
import type { AjetConfig } from "../config/schema.js";
import { ConfigError } from "../native/errors.js";
import { EnvServiceTaskReader } from "../tasks/env-service-reader.js";
import type { OnProgress } from "../tasks/hub/dataset-files.js";
import { HuggingFaceTaskReader } from "../tasks/hub/huggingface-reader.js";
import { JsonlTaskReader } from "../tasks/jsonl-reader.js";
import { RandomDummyTaskReader } from "../tasks/random-dummy-reader.js";
import { type PathRoots, resolvePath } from "./resolve-path.js";

/** Where a run's tasks come from. */
export interface TaskSource {
  reader: TaskReader;
  /** The YAML key that names what a split is read from, and its value; `null`: the run has no such split. */
  origin(split: TaskSplit): { key: string; value: string | null };
}

interface SourceOptions extends PathRoots {
  config: AjetConfig;
  onFetch?: OnProgress;
}

/** The reader that `task_reader.type` names, with its settings. */
export function createTaskSource(options: SourceOptions): TaskSource {
  const { task_reader, trainer_common } = options.config;
  switch (task_reader.type) {
    case "huggingface_dat_repo":
      return huggingFaceSource(task_reader.huggingface_dat_repo, options);
    case "random_dummy": {
      const { count } = task_reader.random_dummy;
      const reader = new RandomDummyTaskReader(count, trainer_common.seed);
      const origin = (split: TaskSplit) => ({
        key: "task_reader.random_dummy.count",
        value: split === "unseen" ? null : String(count),
      });
      return { reader, origin };
    }
    case "env_service": {
      const { training_split, validation_split, unseen_split } = task_reader.env_service;
      const splits = { training: training_split, validation: validation_split, unseen: unseen_split };
      const reader = new EnvServiceTaskReader(task_reader.env_service, splits);
      return { reader, origin: (split) => ({ key: `task_reader.env_service.${split}_split`, value: splits[split] }) };
    }
    default:
      return jsonlSource(task_reader.type, options);
  }
}

function jsonlSource(type: "jsonl_dataset_file" | "dataset_file", options: SourceOptions): TaskSource {
  const files = options.config.task_reader[type];
  const keyOf = (split: TaskSplit) => `task_reader.${type}.${split}.file_path`;
  return {
    reader: {
      // Only what is read has to exist.
      read: (split) => {
        const path = files[split].file_path as string;
        return new JsonlTaskReader({ [split]: resolvePath(keyOf(split), path, options) }).read(split);
      },
    },
    origin: (split) => ({ key: keyOf(split), value: files[split].file_path }),
  };
}

function huggingFaceSource(
  settings: AjetConfig["task_reader"]["huggingface_dat_repo"],
  options: SourceOptions,
): TaskSource {
  const { dataset_path, dataset_name, revision, question_field, answer_field } = settings;
  const key = "task_reader.huggingface_dat_repo";
  if (dataset_path === null) {
    throw new ConfigError(`\`${key}.dataset_path\` is missing: name a data set of the hub, or a local folder`);
  }
  const splits = {
    training: settings.training_split,
    validation: settings.validation_split,
    unseen: settings.unseen_split,
  };
  const reader = new HuggingFaceTaskReader(
    {
      path: localPath(dataset_path, options) ?? dataset_path,
      config: dataset_name,
      splits,
      questionField: question_field,
      answerField: answer_field,
    },
    { revision, ...(options.onFetch ? { onProgress: options.onFetch } : {}) },
  );
  return { reader, origin: (split) => ({ key: `${key}.${split}_split`, value: splits[split] }) };
}

/** A folder is found as every path of a configuration is; what is none is a name of the hub. */
function localPath(path: string, options: SourceOptions): string | undefined {
  try {
    return resolvePath("task_reader.huggingface_dat_repo.dataset_path", path, options);
  } catch (error) {
    if (/^[\w-]/.test(path)) return undefined;
    throw error; // /a/path, ./a/path, ~/a/path
  }
}
