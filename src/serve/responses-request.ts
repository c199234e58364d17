import { isJsonObject, type JsonObject } from "../text/json-file.js";
import { invalidField, unexpectedField } from "./api-error.js";
import type { Session } from "./session.js";

/** Fields that mean in the chat API what they mean here. */
const SAME = ["model", "temperature", "top_p", "stream", "tool_choice", "metadata", "user", "store", "service_tier"];
/** Fields that change nothing that this server does. */
const IGNORED = new Set([
  ...["include", "parallel_tool_calls", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"],
  ...["truncation", "reasoning", "max_tool_calls", "stream_options", "top_logprobs"],
]);

/**
 * A body of `POST /v1/responses` as the chat API would have it: text in, text and function calls out. What is missing
 * (files, built-in tools, stored conversations) is answered with 400.
 */
export function chatBodyOf(body: unknown, session: Session): JsonObject {
  if (!isJsonObject(body)) throw unexpectedField("body", "a JSON object", body);
  const { input, instructions, tools, max_output_tokens, text, ...rest } = body;
  const chat: JsonObject = {};
  for (const [name, value] of Object.entries(rest)) {
    if (SAME.includes(name)) chat[name] = value;
    else if (!IGNORED.has(name) && value !== null && value !== undefined) {
      throw invalidField(name, `\`${name}\` is not supported at /v1/responses here`, "unsupported_parameter");
    }
  }
  const system = instructions == null ? [] : [{ role: "system", content: instructions }];
  chat["messages"] = [...system, ...readInput(input, session)];
  if (Array.isArray(tools) && tools.length > 0) chat["tools"] = tools.map(readTool);
  if (max_output_tokens != null) chat["max_completion_tokens"] = max_output_tokens;
  const format = isJsonObject(text) ? text["format"] : undefined;
  if (isJsonObject(format) && format["type"] !== "text") {
    throw invalidField("text.format", 'Only `{"type": "text"}`: output is never forced into a grammar');
  }
  return chat;
}

function readTool(tool: unknown, index: number): JsonObject {
  const path = `tools[${index}]`;
  if (!isJsonObject(tool)) throw unexpectedField(path, "a tool object", tool);
  if (tool["type"] !== "function") throw unexpectedField(`${path}.type`, '"function"', tool["type"]);
  const { name, description, parameters } = tool;
  // Names and order as in the chat API, so that the same tool makes the same prompt.
  const shown = Object.entries({ name, description, parameters }).filter(([, value]) => value != null);
  return { type: "function", function: Object.fromEntries(shown) };
}

function readInput(input: unknown, session: Session): JsonObject[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  if (!Array.isArray(input)) throw unexpectedField("input", "a text or an array of items", input);
  const messages: JsonObject[] = [];
  for (const [index, given] of input.entries()) {
    const path = `input[${index}]`;
    if (!isJsonObject(given)) throw unexpectedField(path, "an item", given);
    addItem(messages, referred(given, path, session), path);
  }
  return messages;
}

function referred(item: JsonObject, path: string, session: Session): JsonObject {
  if (item["type"] !== "item_reference") return item;
  const known = session.items.get(String(item["id"]));
  if (known !== undefined) return known;
  throw invalidField(`${path}.id`, `No item of this session has the id ${JSON.stringify(item["id"])}`, "unknown_item");
}

// An assistant's text and the calls beside it are items of their own here, one message there.
function addItem(messages: JsonObject[], item: JsonObject, path: string): void {
  const { type = "message", role, content, call_id, name, output } = item;
  const last = messages.at(-1);
  const isOpen = last?.["role"] === "assistant";
  if (type === "function_call") {
    const call = { id: call_id, type: "function", function: { name, arguments: item["arguments"] } };
    if (isOpen) last["tool_calls"] = [...((last["tool_calls"] as object[] | undefined) ?? []), call];
    else messages.push({ role: "assistant", content: null, tool_calls: [call] });
  } else if (type === "function_call_output") {
    messages.push({ role: "tool", tool_call_id: call_id, content: readContent(output) });
  } else if (type === "message" && role === "assistant") {
    const text = assistantText(content);
    if (isOpen) last["content"] = `${last["content"] ?? ""}${text}`;
    else messages.push({ role, content: text });
  } else if (type === "message") {
    messages.push({ role, content: readContent(content) });
  } else if (type !== "reasoning") {
    throw unexpectedField(`${path}.type`, "message, function_call, function_call_output or item_reference", type);
  }
}

/** Pieces of one reply belong together as they were sampled, with nothing in between. */
function assistantText(content: unknown): unknown {
  if (!Array.isArray(content)) return content;
  return content.map((part: unknown) => (isJsonObject(part) ? String(part["text"] ?? "") : "")).join("");
}

/** Parts as the chat API names them; what it does not know it refuses. */
function readContent(content: unknown): unknown {
  if (!Array.isArray(content)) return content;
  return content.map((part: unknown) => {
    if (!isJsonObject(part)) return part;
    const isText = part["type"] === "input_text" || part["type"] === "output_text";
    return isText ? { type: "text", text: part["text"] } : part;
  });
}
