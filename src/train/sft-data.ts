import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { FileError } from "../native/errors.js";
import { fileError } from "../native/file-error.js";
import { parseArguments } from "../serve/message-keys.js";
import {
  type ChatTemplate,
  TemplateError,
  type TemplateMessage,
  type TemplateToolCall,
} from "../text/chat-template.js";
import { isJsonObject, type JsonObject } from "../text/json-file.js";
import type { Tokenizer } from "../text/tokenizer.js";

/** A conversation to learn from: every assistant message is supervised. */
export interface Conversation {
  /** `file:line`, for messages. */
  place: string;
  messages: TemplateMessage[];
  tools?: unknown[];
}

/** One assistant message as a training call: what stands before it, and what is learned. */
export interface SupervisedCall {
  prompt: Int32Array;
  sampled: Int32Array;
}

/**
 * Reads conversations, one JSON object a line with `messages` and optionally `tools`.
 * @throws FileError naming file, line and problem.
 */
export async function* readConversations(file: string): AsyncGenerator<Conversation> {
  let number = 0;
  try {
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
      const text = number++ === 0 ? line.replace(/^\ufeff/, "") : line;
      if (text.trim() !== "") yield parseConversation(text, `${file}:${number}`);
    }
  } catch (error) {
    throw fileError(`Cannot read the conversations in ${file}`, error);
  }
}

function parseConversation(line: string, place: string): Conversation {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch (error) {
    throw new FileError(`${place}: not valid JSON: ${(error as Error).message}`, { cause: error });
  }
  if (!isJsonObject(record)) throw unexpected(place, "an object", record);
  const { messages, tools } = record as { messages?: unknown; tools?: unknown };
  if (!Array.isArray(messages) || !messages.some((message) => message?.role === "assistant")) {
    throw new FileError(`${place}: expected \`messages\` with at least one assistant message`);
  }
  const read = messages.map((message, i) => readMessage(message, `${place}: messages[${i}]`));
  if (tools === undefined || tools === null) return { place, messages: read };
  if (!Array.isArray(tools)) throw new FileError(`${place}: expected \`tools\` to be a list`);
  return { place, messages: read, tools };
}

function readMessage(message: unknown, place: string): TemplateMessage {
  if (!isJsonObject(message)) throw unexpected(place, "an object", message);
  const { role, content: given, tool_calls: calls, ...others } = message;
  if (typeof role !== "string") throw unexpected(`${place}.role`, "a text", role);
  const content = given ?? "";
  if (typeof content !== "string") throw unexpected(`${place}.content`, "a text", content);
  if (calls === undefined || calls === null) return { ...others, role, content };
  if (!Array.isArray(calls)) throw unexpected(`${place}.tool_calls`, "a list", calls);
  return { ...others, role, content, tool_calls: calls.map((call, i) => readCall(call, `${place}.tool_calls[${i}]`)) };
}

/** Templates want the arguments as an object; data sets have them as one or, as the chat API does, as its JSON text. */
function readCall(call: unknown, place: string): TemplateToolCall {
  const called = isJsonObject(call) ? (call as { function?: unknown }).function : undefined;
  if (!isJsonObject(called)) throw unexpected(place, "an object with `function`", call);
  const { arguments: written } = called as { arguments?: unknown };
  const parsed = typeof written === "string" ? parseArguments(written) : written;
  if (!isJsonObject(parsed)) throw unexpected(`${place}.function.arguments`, "an object, or one as JSON text", written);
  return { ...(call as JsonObject), function: { ...called, arguments: parsed } } as TemplateToolCall;
}

function unexpected(place: string, expected: string, received: unknown): FileError {
  return new FileError(`${place}: expected ${expected} but received ${JSON.stringify(received)?.slice(0, 80)}`);
}

/**
 * The calls of a conversation. Each prompt continues the ids of the call before it, as in a rollout, so that the calls of
 * one conversation share their prefix in the token tree.
 */
export function supervisedCalls(
  conversation: Conversation,
  template: ChatTemplate,
  tokenizer: Tokenizer,
): SupervisedCall[] {
  const { messages, tools, place } = conversation;
  const render = (count: number, addGenerationPrompt: boolean) => {
    try {
      return template.render(messages.slice(0, count), { tools, addGenerationPrompt });
    } catch (error) {
      throw error instanceof TemplateError
        ? new FileError(`${place}: the chat template refuses it: ${error.message}`, { cause: error })
        : error;
    }
  };
  const calls: SupervisedCall[] = [];
  let ids: number[] = [];
  let text = "";
  messages.forEach((message, i) => {
    if (message.role !== "assistant") return;
    const before = render(i, true);
    const after = render(i + 1, false);
    if (!before.startsWith(text) || !after.startsWith(before)) {
      throw new FileError(
        `${place}: the chat template does not only append from turn to turn: it cannot be used for \`ajet sft\``,
      );
    }
    const prompt = [...ids, ...tokenizer.encode(before.slice(text.length))];
    const sampled = endOfTurn(tokenizer.encode(after.slice(before.length)), tokenizer);
    calls.push({ prompt: Int32Array.from(prompt), sampled: Int32Array.from(sampled) });
    ids = [...prompt, ...sampled];
    text = before + decodeExactly(sampled, tokenizer);
  });
  return calls;
}

/** Cuts after the first end token: what the template adds behind it is not sampled. */
function endOfTurn(ids: number[], tokenizer: Tokenizer): number[] {
  const end = ids.findIndex((id) => tokenizer.endIds.includes(id));
  return end < 0 ? ids : ids.slice(0, end + 1);
}

function decodeExactly(ids: readonly number[], tokenizer: Tokenizer): string {
  return Buffer.concat(ids.map((id) => Buffer.from(tokenizer.bytes(id)))).toString("utf8");
}
