import { isJsonObject, type JsonObject } from "../text/json-file.js";
import { nearest } from "../text/nearest.js";
import { invalidField, unexpectedField } from "./api-error.js";
import { type ConversationMessage, readMessages } from "./chat-messages.js";
import type { ServeSession } from "./contract.js";
import { readFlag, readNumber } from "./field-readers.js";

import { REQUEST_FIELDS, type RequestField } from "./request-fields.js";

/** A checked request, with the session's defaults filled in. */
export interface ChatRequest {
  messages: ConversationMessage[];
  /** The messages as they came, for the record. */
  sentMessages: unknown[];
  /** As the client sent them; empty where there are none. */
  tools: readonly JsonObject[];
  /** Look for tool calls in the output. */
  parseTools: boolean;
  templateVariables: JsonObject | undefined;
  /** Echoed. */
  model: string;
  n: number;
  stop: readonly string[];
  seed: bigint | undefined;
  maxTokens: number;
  temperature: number;
  topP: number;
  topK: number;
  minP: number;
  logprobs: boolean;
  topLogprobs: number;
  stream: boolean;
  includeUsage: boolean;
}

const MAX_CHOICES = 128;
const MAX_STOP_TEXTS = 4;
/** What the prompt builder gives to the template itself. */
const RESERVED_VARIABLES = new Set(["messages", "tools", "add_generation_prompt", "bos_token", "eos_token"]);

/** Checks a request's body against `REQUEST_FIELDS` and the session. Throws a 400 that names the field. */
export function readChatRequest(body: unknown, session: ServeSession, modelName: string): ChatRequest {
  if (!isJsonObject(body)) throw unexpectedField("body", "a JSON object", body);
  checkFields(body, session.training);
  const { defaults } = session;
  const tools = readTools(body["tools"]);
  const wantsTools = readToolChoice(body["tool_choice"]);
  const temperature = readNumber(body, "temperature", { min: 0, max: 2 });
  const topK = readNumber(body, "top_k", { min: -1, max: 2 ** 31 - 1, integer: true });
  const stream = readFlag(body, "stream");
  return {
    messages: readMessages(body["messages"]),
    sentMessages: body["messages"] as unknown[],
    tools,
    parseTools: wantsTools && tools.length > 0,
    templateVariables: readTemplateVariables(body["chat_template_kwargs"]),
    model: readModel(body["model"]) ?? modelName,
    n: readNumber(body, "n", { min: 1, max: MAX_CHOICES, integer: true }) ?? 1,
    stop: readStop(body["stop"]),
    seed: readSeed(body),
    maxTokens: readMaxTokens(body) ?? defaults.maxTokens,
    temperature: session.forceTemperature ? defaults.temperature : (temperature ?? defaults.temperature),
    topP: readNumber(body, "top_p", { min: 0, max: 1, aboveMin: true }) ?? defaults.topP,
    topK: topK === undefined ? defaults.topK : Math.max(topK, 0),
    minP: readNumber(body, "min_p", { min: 0, max: 1, belowMax: true }) ?? defaults.minP,
    ...readLogprobs(body),
    stream,
    includeUsage: readIncludeUsage(body["stream_options"], stream),
  };
}

function checkFields(body: JsonObject, training: boolean): void {
  for (const [name, value] of Object.entries(body)) {
    if (!Object.hasOwn(REQUEST_FIELDS, name)) {
      const meant = nearest(name, Object.keys(REQUEST_FIELDS));
      const hint = meant === undefined ? "" : `; did you mean \`${meant}\`?`;
      throw invalidField(name, `Unknown request field \`${name}\`${hint}`, "unknown_parameter");
    }
    if (value === null || value === undefined) continue;
    const field: RequestField = REQUEST_FIELDS[name as keyof typeof REQUEST_FIELDS];
    if (field.treatment === "refused" && field.neutral?.(value) !== true) {
      throw invalidField(name, `\`${name}\` is not supported here. ${field.note}.`, "unsupported_parameter");
    }
    if (training && field.trainingNeutral?.(value) === false) {
      throw invalidField(
        name,
        `\`${name}\` is refused in training rollouts: the trainer computes log-probs of the whole distribution and ` +
          `cannot honour it. Leave it out (${field.note}).`,
        "unsupported_in_training",
      );
    }
  }
}

function readTools(value: unknown): JsonObject[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw unexpectedField("tools", "an array of tools", value);
  return value.map((tool: unknown, index) => {
    const path = `tools[${index}]`;
    if (!isJsonObject(tool)) throw unexpectedField(path, "a tool object", tool);
    if (tool["type"] !== "function") throw unexpectedField(`${path}.type`, '"function"', tool["type"]);
    const definition = tool["function"];
    if (!isJsonObject(definition)) throw unexpectedField(`${path}.function`, "an object", definition);
    const name = definition["name"];
    if (typeof name !== "string" || name === "") throw unexpectedField(`${path}.function.name`, "a name", name);
    const parameters = definition["parameters"];
    if (parameters != null && !isJsonObject(parameters)) {
      throw unexpectedField(`${path}.function.parameters`, "a JSON schema", parameters);
    }
    return tool;
  });
}

// True: calls are looked for; false: everything stays text.
function readToolChoice(value: unknown): boolean {
  if (value === undefined || value === null || value === "auto") return true;
  if (value === "none") return false;
  if (value !== "required" && !isJsonObject(value)) throw unexpectedField("tool_choice", '"auto" or "none"', value);
  throw invalidField(
    "tool_choice",
    'Expected "auto" or "none" for `tool_choice`: a call cannot be forced, since nothing constrains what is sampled',
    "unsupported_value",
  );
}

function readTemplateVariables(value: unknown): JsonObject | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isJsonObject(value)) throw unexpectedField("chat_template_kwargs", "an object", value);
  for (const name of Object.keys(value)) {
    if (RESERVED_VARIABLES.has(name)) {
      throw invalidField("chat_template_kwargs", `\`chat_template_kwargs.${name}\` is set by the server`);
    }
  }
  return value;
}

function readModel(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw unexpectedField("model", "a text", value);
  return value;
}

function readStop(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  const texts: unknown[] = Array.isArray(value) ? value : [value];
  if (texts.length > MAX_STOP_TEXTS) throw unexpectedField("stop", `at most ${MAX_STOP_TEXTS} texts`, value);
  return texts.map((text) => {
    if (typeof text !== "string" || text === "") throw unexpectedField("stop", "a non-empty text or up to 4", text);
    return text;
  });
}

function readSeed(body: JsonObject): bigint | undefined {
  const seed = readNumber(body, "seed", { min: -(2 ** 63), max: 2 ** 63, integer: true });
  return seed === undefined ? undefined : BigInt(seed);
}

function readMaxTokens(body: JsonObject): number | undefined {
  const range = { min: 1, max: 2 ** 31 - 1, integer: true };
  const limit = readNumber(body, "max_tokens", range);
  return readNumber(body, "max_completion_tokens", range) ?? limit;
}

function readLogprobs(body: JsonObject): { logprobs: boolean; topLogprobs: number } {
  const logprobs = readFlag(body, "logprobs");
  const top = readNumber(body, "top_logprobs", { min: 0, max: 20, integer: true });
  if (top !== undefined && top > 0 && !logprobs) {
    throw invalidField("top_logprobs", "`top_logprobs` needs `logprobs` to be true");
  }
  return { logprobs, topLogprobs: top ?? 0 };
}

function readIncludeUsage(value: unknown, stream: boolean): boolean {
  if (value === undefined || value === null) return false;
  if (!isJsonObject(value)) throw unexpectedField("stream_options", "an object", value);
  if (!stream) throw invalidField("stream_options", "`stream_options` needs `stream` to be true");
  return readFlag(value, "include_usage", "stream_options.include_usage");
}
