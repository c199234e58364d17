import { existsSync } from "node:fs";
import type { Task } from "../../agent/task.js";
import type { TaskReader, TaskSplit } from "../../agent/task-reader.js";
import { ConfigError } from "../../native/errors.js";
import { taskOf, withUniqueIds } from "../task-record.js";
import type { DatasetFiles } from "./dataset-files.js";
import { FolderDataset } from "./folder-dataset.js";
import { HubDataset, type HubOptions } from "./hub-dataset.js";
import { parseHubName } from "./hub-name.js";
import { readRows } from "./read-rows.js";
import { splitFiles } from "./split-files.js";
import { canonicalSplit } from "./split-names.js";

/** What a {@link HuggingFaceTaskReader} reads. */
export interface HuggingFaceSource {
  /** `owner/name`, `owner/name/config`, or a local folder or file. */
  path: string;
  /** Configuration (subset), where `path` names none. */
  config?: string | null;
  /** The data set's split for each of ours. */
  splits: Partial<Record<TaskSplit, string | null>>;
  /** Default `main_query`, else `question`. */
  questionField?: string | null;
  /** Default `answer`. */
  answerField?: string | null;
}

const KEY = "task_reader.huggingface_dat_repo";

/** Reads tasks from a data set of the Hugging Face hub, or from a folder that holds one. */
export class HuggingFaceTaskReader implements TaskReader {
  #dataset: Promise<{ files: DatasetFiles; config: string | undefined }> | undefined;

  constructor(
    private readonly source: HuggingFaceSource,
    private readonly options: HubOptions = {},
  ) {}

  async read(split: TaskSplit): Promise<Task[]> {
    const wanted = this.source.splits[split];
    if (wanted === undefined || wanted === null) {
      throw new ConfigError(`Expected the name of a split in \`${KEY}.${split}_split\` but received none`);
    }
    const { path, questionField, answerField } = this.source;
    this.#dataset ??= openDataset(this.source, this.options);
    const { files, config } = await this.#dataset;
    const paths = chooseSplit(await splitFiles(files, config), wanted, path);
    const tasks: Task[] = [];
    const fields = {
      question: questionField ?? null,
      answer: answerField ?? null,
      questionKey: `${KEY}.question_field`,
    };
    for (const file of await files.fetch(paths)) {
      for (const row of await readRows(file)) {
        tasks.push(taskOf(row, `${path}, ${wanted}, row ${tasks.length}`, String(tasks.length), fields));
      }
    }
    if (tasks.length === 0) throw new ConfigError(`The split ${wanted} of ${path} has no rows`);
    return withUniqueIds(tasks);
  }
}

async function openDataset(
  { path, config }: HuggingFaceSource,
  options: HubOptions,
): Promise<{ files: DatasetFiles; config: string | undefined }> {
  if (existsSync(path)) return { files: await FolderDataset.open(path), config: config ?? undefined };
  const name = parseHubName(path, KEY);
  return { files: await HubDataset.open(name.repo, options), config: config ?? name.config };
}

function chooseSplit(splits: ReadonlyMap<string, string[]>, wanted: string, path: string): string[] {
  const files = splits.get(wanted) ?? splits.get(canonicalSplit(wanted));
  if (files !== undefined) return files;
  const names = [...splits.keys()].join(", ") || "none";
  throw new ConfigError(`The data set ${path} has no split ${wanted}; its splits are: ${names}`);
}
