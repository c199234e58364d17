import type { ChatMessage, Task } from "../agent/task.js";
import { ConfigError } from "../native/errors.js";

/** One record of a data set, as its file has it. */
export type TaskRecord = Record<string, unknown>;

/** Which fields of a record are what. */
export interface RecordFields {
  /** Of the problem's text; default `main_query`, else `question`. */
  question?: string | null;
  /** Of the reference that a judge looks for under `answer`; default `answer`. */
  answer?: string | null;
  /** YAML key of `question`, for the message when the text is missing. */
  questionKey?: string;
}

/**
 * A record as a task.
 * @param place Where it stands, for messages.
 * @param fallbackId Its id where it brings none.
 * @throws ConfigError naming place and field.
 */
export function taskOf(record: TaskRecord, place: string, fallbackId: string, fields: RecordFields = {}): Task {
  const { task_id: taskId, env_type: envType, init_messages: initMessages } = record;
  return {
    taskId: identifier(taskId, place) ?? fallbackId,
    mainQuery: questionOf(record, place, fields),
    initMessages: parseMessages(initMessages, place),
    envType: typeof envType === "string" ? envType : "no_env",
    metadata: parseMetadata(record, place, fields),
  };
}

function questionOf(record: TaskRecord, place: string, { question: named, questionKey }: RecordFields): string {
  const name = named ?? (record["main_query"] === undefined ? "question" : "main_query");
  const query = record[name];
  if (typeof query === "string" && query.trim() !== "") return query;
  if (query !== undefined) {
    throw new ConfigError(`${place}: expected a text under \`${name}\` but received ${JSON.stringify(query)}`);
  }
  const names = named == null ? "`main_query` or `question`" : `\`${named}\``;
  const remedy = questionKey === undefined ? "" : `; \`${questionKey}\` names another`;
  throw new ConfigError(
    `${place}: expected the text of the problem under ${names}; the keys are ${Object.keys(record).join(", ") || "none"}${remedy}`,
  );
}

function identifier(taskId: unknown, place: string): string | undefined {
  if (taskId === undefined || taskId === null || taskId === "") return undefined;
  if (typeof taskId === "string" || typeof taskId === "number") return String(taskId);
  throw new ConfigError(
    `${place}: expected a text or a number under \`task_id\` but received ${JSON.stringify(taskId)}`,
  );
}

/** The record's own `metadata`, with its `answer` where only the record has one; else the record. */
function parseMetadata(record: TaskRecord, place: string, { answer: named }: RecordFields): Record<string, unknown> {
  const { metadata } = record;
  const answer = record[named ?? "answer"];
  if (named != null && answer === undefined) {
    throw new ConfigError(`${place}: no field \`${named}\`; the keys are ${Object.keys(record).join(", ")}`);
  }
  const whole = metadata ?? record;
  if (!isRecord(whole))
    throw new ConfigError(`${place}: expected an object under \`metadata\` but received ${JSON.stringify(metadata)}`);
  return answer === undefined || (named == null && "answer" in whole) ? whole : { ...whole, answer };
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
export function withUniqueIds(tasks: Task[]): Task[] {
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

/** True for what JSON calls an object. */
export function isRecord(value: unknown): value is TaskRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
