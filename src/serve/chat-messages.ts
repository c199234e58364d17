import { isJsonObject, type JsonObject } from "../text/json-file.js";
import { invalidField, unexpectedField } from "./api-error.js";

/** A tool call of a conversation; `arguments` is the client's JSON text. */
export interface ConversationToolCall {
  id: string;
  name: string;
  arguments: string;
}

/** A message in the one form that the server works with. */
export interface ConversationMessage {
  role: "system" | "user" | "assistant" | "tool";
  /** "" where the client sent `null` or nothing. */
  content: string;
  name?: string;
  toolCalls?: readonly ConversationToolCall[];
  toolCallId?: string;
  reasoningContent?: string;
}

const ROLES = new Set(["system", "developer", "user", "assistant", "tool"]);

/** Checks `messages` of a request. Fields of a message that the API does not name are left aside. */
export function readMessages(value: unknown): ConversationMessage[] {
  if (!Array.isArray(value)) throw unexpectedField("messages", "an array of messages", value);
  if (value.length === 0)
    throw invalidField("messages", "Expected at least one message in `messages` but received none");
  return value.map((message: unknown, index) => readMessage(message, `messages[${index}]`));
}

function readMessage(value: unknown, path: string): ConversationMessage {
  if (!isJsonObject(value)) throw unexpectedField(path, "a message object", value);
  const role = value["role"];
  if (typeof role !== "string" || !ROLES.has(role)) {
    throw unexpectedField(`${path}.role`, [...ROLES].map((name) => `"${name}"`).join(", "), role);
  }
  const message: ConversationMessage = {
    role: role === "developer" ? "system" : (role as ConversationMessage["role"]),
    content: readContent(value["content"], `${path}.content`, role),
  };
  const name = readText(value, "name", path);
  if (name !== undefined) message.name = name;
  if (role === "assistant") readAssistantFields(value, message, path);
  if (role === "tool") {
    const id = readText(value, "tool_call_id", path);
    if (id === undefined) throw unexpectedField(`${path}.tool_call_id`, "the id of a tool call", undefined);
    message.toolCallId = id;
  }
  return message;
}

function readAssistantFields(value: JsonObject, message: ConversationMessage, path: string): void {
  for (const field of ["function_call", "audio"]) {
    if (value[field] != null) throw invalidField(`${path}.${field}`, `\`${path}.${field}\` is not supported`);
  }
  const reasoning = readText(value, "reasoning_content", path);
  if (reasoning !== undefined) message.reasoningContent = reasoning;
  const calls = value["tool_calls"];
  if (calls === undefined || calls === null) {
    if (value["content"] === undefined && value["refusal"] == null) {
      throw unexpectedField(`${path}.content`, "a text or `tool_calls`", undefined);
    }
    return;
  }
  if (!Array.isArray(calls)) throw unexpectedField(`${path}.tool_calls`, "an array of tool calls", calls);
  if (calls.length > 0) message.toolCalls = calls.map((call, i) => readToolCall(call, `${path}.tool_calls[${i}]`));
}

function readToolCall(value: unknown, path: string): ConversationToolCall {
  if (!isJsonObject(value)) throw unexpectedField(path, "a tool call object", value);
  if (value["type"] !== undefined && value["type"] !== "function") {
    throw unexpectedField(`${path}.type`, '"function"', value["type"]);
  }
  const called = value["function"];
  if (!isJsonObject(called)) throw unexpectedField(`${path}.function`, "an object", called);
  const id = value["id"];
  if (typeof id !== "string") throw unexpectedField(`${path}.id`, "a text", id);
  const name = called["name"];
  if (typeof name !== "string") throw unexpectedField(`${path}.function.name`, "a text", name);
  const written = called["arguments"];
  if (typeof written !== "string") throw unexpectedField(`${path}.function.arguments`, "a JSON text", written);
  return { id, name, arguments: written };
}

function readText(value: JsonObject, field: string, path: string): string | undefined {
  const text = value[field];
  if (text === undefined || text === null) return undefined;
  if (typeof text !== "string") throw unexpectedField(`${path}.${field}`, "a text", text);
  return text;
}

function readContent(value: unknown, path: string, role: string): string {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) {
    if (role === "assistant") return "";
    throw unexpectedField(path, "a text or an array of text parts", value);
  }
  if (!Array.isArray(value)) throw unexpectedField(path, "a text or an array of text parts", value);
  // One part a line, as other servers of open models join them.
  return value.map((part: unknown, index) => readPart(part, `${path}[${index}]`)).join("\n");
}

function readPart(part: unknown, path: string): string {
  if (!isJsonObject(part)) throw unexpectedField(path, "a content part", part);
  if (part["type"] !== "text") {
    throw invalidField(
      `${path}.type`,
      `Expected "text" for \`${path}.type\` but received ${JSON.stringify(part["type"])}: the model reads text only`,
    );
  }
  if (typeof part["text"] !== "string") throw unexpectedField(`${path}.text`, "a text", part["text"]);
  return part["text"];
}
