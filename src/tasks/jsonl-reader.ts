import { readFile } from "node:fs/promises";
import type { Task } from "../agent/task.js";
import type { TaskReader, TaskSplit } from "../agent/task-reader.js";
import { ConfigError } from "../native/errors.js";
import { isRecord, type TaskRecord, taskOf, withUniqueIds } from "./task-record.js";

/**
 * Reads tasks from JSONL files, one a line: `main_query` or `question`, and what else the judge or the workflow
 * needs (`answer`). Optional: `task_id`, `init_messages`, `env_type`, `metadata`; without `metadata` the record is it.
 */
export class JsonlTaskReader implements TaskReader {
  constructor(private readonly files: Partial<Record<TaskSplit, string | null>>) {}

  async read(split: TaskSplit): Promise<Task[]> {
    const file = this.files[split];
    if (file === undefined || file === null) {
      throw new ConfigError(
        `Expected a JSONL file in \`task_reader.jsonl_dataset_file.${split}.file_path\` but received none`,
      );
    }
    return readJsonlTasks(file);
  }
}

/** The tasks of one file. @throws ConfigError with file, line and problem. */
export async function readJsonlTasks(file: string): Promise<Task[]> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new ConfigError(`Cannot read the tasks in ${file}: ${(error as NodeJS.ErrnoException).code}`, {
      cause: error,
    });
  }
  const tasks = parseJsonl(text, file).map(({ record, place, line }) => taskOf(record, place, String(line)));
  if (tasks.length === 0) throw new ConfigError(`Expected tasks in ${file} but it has none`);
  return withUniqueIds(tasks);
}

/** A record of a JSONL file, and where it stands. */
export interface JsonlRecord {
  record: TaskRecord;
  /** `file:line`, for messages. */
  place: string;
  /** From 1. */
  line: number;
}

/** The records of a JSONL text; empty lines are skipped. @throws ConfigError with file, line and problem. */
export function parseJsonl(text: string, file: string): JsonlRecord[] {
  const lines = text.replace(/^\ufeff/, "").split("\n");
  return lines.flatMap((content, index) => {
    if (content.trim() === "") return [];
    const place = `${file}:${index + 1}`;
    return [{ record: parseRecord(content, place), place, line: index + 1 }];
  });
}

function parseRecord(line: string, place: string): TaskRecord {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch (error) {
    throw new ConfigError(`${place}: not valid JSON: ${(error as Error).message}`, { cause: error });
  }
  if (isRecord(record)) return record;
  throw new ConfigError(`${place}: expected an object but received ${JSON.stringify(record)?.slice(0, 80)}`);
}
