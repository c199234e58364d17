import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { FileError } from "../native/errors.js";
import type { ChatTemplate, TemplateMessage } from "../text/chat-template.js";
import type { Tokenizer } from "../text/tokenizer.js";

/** A conversation to learn from: every assistant message is supervised. */
export interface Conversation {
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
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    number++;
    if (line.trim() === "") continue;
    yield parseConversation(line, `${file}:${number}`);
  }
}

function parseConversation(line: string, place: string): Conversation {
  let record: { messages?: unknown; tools?: unknown };
  try {
    record = JSON.parse(line);
  } catch (error) {
    throw new FileError(`${place}: not valid JSON: ${(error as Error).message}`, { cause: error });
  }
  const { messages, tools } = record;
  if (!Array.isArray(messages) || !messages.some((message) => message?.role === "assistant")) {
    throw new FileError(`${place}: expected \`messages\` with at least one assistant message`);
  }
  if (tools !== undefined && !Array.isArray(tools)) throw new FileError(`${place}: expected \`tools\` to be a list`);
  return { messages: messages.map((message) => normalise(message, place)), ...(tools ? { tools } : {}) };
}

/** Templates want text content and parsed arguments. */
function normalise(message: Record<string, unknown>, place: string): TemplateMessage {
  const content = message["content"] ?? "";
  if (typeof content !== "string") throw new FileError(`${place}: expected the \`content\` of a message to be a text`);
  const calls = message["tool_calls"] as {
    id: string;
    type: "function";
    function: { name: string; arguments: string };
  }[];
  return {
    ...(message as unknown as TemplateMessage),
    content,
    ...(calls
      ? {
          tool_calls: calls.map((call) => ({
            ...call,
            function: { ...call.function, arguments: JSON.parse(call.function.arguments) },
          })),
        }
      : {}),
  };
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
  const { messages, tools } = conversation;
  const calls: SupervisedCall[] = [];
  let ids: number[] = [];
  let text = "";
  messages.forEach((message, i) => {
    if (message.role !== "assistant") return;
    const before = template.render(messages.slice(0, i), { tools, addGenerationPrompt: true });
    const after = template.render(messages.slice(0, i + 1), { tools, addGenerationPrompt: false });
    if (!before.startsWith(text) || !after.startsWith(before)) {
      throw new FileError("The chat template does not only append from turn to turn: it cannot be used for `ajet sft`");
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
