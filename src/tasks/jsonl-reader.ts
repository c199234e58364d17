import { readFile } from "node:fs/promises";
import type { ChatMessage, Task } from "../agent/task.js";
import type { TaskReader, TaskSplit } from "../agent/task-reader.js";
import { ConfigError } from "../native/errors.js";

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
  const lines = text.replace(/^\ufeff/, "").split("\n");
  const tasks = lines.flatMap((line, index) =>
    line.trim() === "" ? [] : [parseTask(line, `${file}:${index + 1}`, index + 1)],
  );
  if (tasks.length === 0) throw new ConfigError(`Expected tasks in ${file} but it has none`);
  return withUniqueIds(tasks);
}

function parseTask(line: string, place: string, lineNumber: number): Task {
  const record = parseRecord(line, place);
  const { main_query: mainQuery, question, task_id: taskId, env_type: envType, init_messages: initMessages } = record;
  const query = mainQuery ?? question;
  if (typeof query !== "string" || query.trim() === "") {
    throw new ConfigError(
      query === undefined
        ? `${place}: expected the text of the problem under \`main_query\` or \`question\`; the keys are ${Object.keys(record).join(", ") || "none"}`
        : `${place}: expected a text under \`${mainQuery === undefined ? "question" : "main_query"}\` but received ${JSON.stringify(query)}`,
    );
  }
  return {
    taskId: identifier(taskId, place) ?? String(lineNumber),
    mainQuery: query,
    initMessages: parseMessages(initMessages, place),
    envType: typeof envType === "string" ? envType : "no_env",
    metadata: parseMetadata(record, place),
  };
}

function parseRecord(line: string, place: string): Record<string, unknown> {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch (error) {
    throw new ConfigError(`${place}: not valid JSON: ${(error as Error).message}`, { cause: error });
  }
  if (isRecord(record)) return record;
  throw new ConfigError(`${place}: expected an object but received ${JSON.stringify(record)?.slice(0, 80)}`);
}

function identifier(taskId: unknown, place: string): string | undefined {
  if (taskId === undefined || taskId === null || taskId === "") return undefined;
  if (typeof taskId === "string" || typeof taskId === "number") return String(taskId);
  throw new ConfigError(
    `${place}: expected a text or a number under \`task_id\` but received ${JSON.stringify(taskId)}`,
  );
}

/** The record's own `metadata`, with its `answer` where only the record has one; else the record. */
function parseMetadata(record: Record<string, unknown>, place: string): Record<string, unknown> {
  const { metadata, answer } = record;
  if (metadata === undefined || metadata === null) return record;
  if (!isRecord(metadata))
    throw new ConfigError(`${place}: expected an object under \`metadata\` but received ${JSON.stringify(metadata)}`);
  return answer === undefined || "answer" in metadata ? metadata : { ...metadata, answer };
}

const ROLES = ["system", "developer", "user", "assistant", "tool"];

function parseMessages(messages: unknown, place: string): ChatMessage[] {
  if (messages === undefined || messages === null) return [];
  if (!Array.isArray(messages)) throw new ConfigError(`${place}: expected an array under \`init_messages\``);
  for (const [index, message] of messages.entries()) {
    if (!isRecord(message) || !ROLES.includes((message as { role?: string }).role ?? "")) {
      throw new ConfigError(
        `${place}: expected a message with a role (${ROLES.join(", ")}) in \`init_messages[${index}]\``,
      );
    }
  }
  return messages as ChatMessage[];
}

/** Two tasks with one id would be one group in training: later ones are renamed. */
function withUniqueIds(tasks: Task[]): Task[] {
  const taken = new Set(tasks.map((task) => task.taskId));
  const seen = new Set<string>();
  return tasks.map((task) => {
    if (!seen.has(task.taskId)) {
      seen.add(task.taskId);
      return task;
    }
    let count = 2;
    while (taken.has(`${task.taskId}#${count}`)) count++;
    const taskId = `${task.taskId}#${count}`;
    taken.add(taskId);
    seen.add(taskId);
    return { ...task, taskId };
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
