import { type ChatTemplate, TemplateError, type TemplateMessage } from "../text/chat-template.js";
import type { JsonObject } from "../text/json-file.js";
import type { Tokenizer } from "../text/tokenizer.js";
import type { ConversationMessage } from "./chat-messages.js";
import type { PromptFork } from "./contract.js";
import { conversationKeys, differingField, parseArguments } from "./message-keys.js";
import type { RecordedReply, SessionMessages } from "./session-messages.js";

/** The part of a request that decides its prompt. */
export interface PromptRequest {
  messages: readonly ConversationMessage[];
  tools: readonly JsonObject[];
  templateVariables: JsonObject | undefined;
}

/** A prompt, token by token. */
export interface BuiltPrompt {
  promptIds: Int32Array;
  /** Names the conversation for `SessionMessages`. */
  conversation: string;
  forks: PlacedFork[];
}

/** A fork, with the conversation that it is in: later requests of it show the same fork again. */
export interface PlacedFork extends PromptFork {
  conversation: string;
}

/** Replies of the request that are put in as recorded, by message index. */
type Splices = Map<number, RecordedReply>;

/**
 * Turns messages into token ids. What the session sampled before is never tokenised again: the template is rendered
 * with a sentinel in place of each returned message, and the recorded ids go where the sentinel stands. The last reply
 * whose conversation is unchanged brings its own prompt along, so a follow-up starts with exactly the recorded ids.
 */
export class PromptBuilder {
  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly template: ChatTemplate,
  ) {}

  /** Throws `TemplateError` where the template refuses the messages. */
  build(request: PromptRequest, replies: SessionMessages): BuiltPrompt {
    const { messages, tools, templateVariables } = request;
    const keys = conversationKeys(JSON.stringify([tools, templateVariables ?? null]), messages);
    const { base, splices, forks } = findReplies(messages, keys, replies);
    const spliced = splices.size === 0 ? undefined : this.splice(request, splices, base);
    if (spliced === undefined) {
      for (const messageIndex of splices.keys()) forks.push({ messageIndex, field: "template" });
    }
    const ids = spliced ?? this.tokenizer.encode(this.render(request, new Map()));
    return {
      promptIds: Int32Array.from(ids),
      conversation: keys[messages.length] as string,
      forks: forks.map((fork) => ({ ...fork, conversation: keys[fork.messageIndex + 1] as string })),
    };
  }

  // Ids with the recorded replies in place; `undefined` where the template does not show each of them exactly once.
  private splice(request: PromptRequest, splices: Splices, base: number): number[] | undefined {
    const sentinels = new Map<number, string>();
    for (const index of splices.keys()) sentinels.set(index, sentinelFor(request.messages, index));
    let text: string;
    try {
      text = this.render(request, sentinels);
    } catch (error) {
      if (error instanceof TemplateError) return undefined;
      throw error;
    }
    const ids: number[] = [];
    let rest = text;
    for (const [index, reply] of [...splices].sort(([a], [b]) => a - b)) {
      const parts = rest.split(sentinels.get(index) as string);
      if (parts.length !== 2) return undefined;
      if (index === base) for (const id of reply.promptIds) ids.push(id);
      else this.appendText(ids, parts[0] as string);
      for (const id of reply.sampledIds) ids.push(id);
      rest = parts[1] as string;
    }
    this.appendText(ids, rest);
    return ids;
  }

  // The template closes a turn that the model may have closed itself: the end stands there once.
  private appendText(ids: number[], text: string): void {
    const { endIds } = this.tokenizer;
    const added = this.tokenizer.encode(text);
    const last = ids.at(-1);
    const first = added[0];
    const doubled = last !== undefined && first !== undefined && endIds.includes(last) && endIds.includes(first);
    for (let i = doubled ? 1 : 0; i < added.length; i++) ids.push(added[i] as number);
  }

  private render(request: PromptRequest, sentinels: ReadonlyMap<number, string>): string {
    const messages = request.messages.map((message, index) => {
      const content = sentinels.get(index);
      return content === undefined ? templateMessage(message) : { role: "assistant", content };
    });
    return this.template.render(messages, { tools: request.tools, variables: request.templateVariables });
  }
}

interface FoundReplies {
  /** Index of the last reply that stands where it was given: its recorded prompt holds all before it. -1: none. */
  base: number;
  splices: Splices;
  forks: PromptFork[];
}

function findReplies(
  messages: readonly ConversationMessage[],
  keys: readonly string[],
  replies: SessionMessages,
): FoundReplies {
  const splices: Splices = new Map();
  const forks: PromptFork[] = [];
  for (let index = messages.length - 1; index >= 0; index--) {
    const message = messages[index] as ConversationMessage;
    if (message.role !== "assistant") continue;
    const key = keys[index] as string;
    const inPlace = replies.findAt(key, message);
    if (inPlace !== undefined) {
      splices.set(index, inPlace);
      return { base: index, splices, forks };
    }
    const moved = replies.findAnywhere(message);
    if (moved !== undefined) {
      splices.set(index, moved);
      forks.unshift(firstDifference(messages, moved.messages, index));
      continue;
    }
    const original = replies.findOriginal(key, message);
    const field = original === undefined ? undefined : differingField(original.reply, message);
    if (field !== undefined) forks.unshift({ messageIndex: index, field });
  }
  return { base: -1, splices, forks };
}

// Why a known reply does not stand where it was given.
function firstDifference(
  now: readonly ConversationMessage[],
  then: readonly ConversationMessage[],
  end: number,
): PromptFork {
  for (let index = 0; index < end; index++) {
    const before = then[index];
    const field = before === undefined ? "messages" : differingField(before, now[index] as ConversationMessage);
    if (field !== undefined) return { messageIndex: index, field };
  }
  return then.length > end ? { messageIndex: end, field: "messages" } : { messageIndex: -1, field: "tools" };
}

function templateMessage(message: ConversationMessage): TemplateMessage {
  const { role, content, name, toolCalls, toolCallId, reasoningContent } = message;
  const rendered: TemplateMessage = { role, content };
  if (name !== undefined) rendered.name = name;
  if (toolCallId !== undefined) rendered.tool_call_id = toolCallId;
  if (reasoningContent !== undefined) rendered.reasoning_content = reasoningContent;
  if (toolCalls !== undefined) {
    rendered.tool_calls = toolCalls.map((call) => ({
      id: call.id,
      type: "function",
      function: { name: call.name, arguments: parseArguments(call.arguments) },
    }));
  }
  return rendered;
}

// A text that no message contains. Letters and digits only: templates strip white space and look for tags.
function sentinelFor(messages: readonly ConversationMessage[], index: number): string {
  for (let attempt = 0; ; attempt++) {
    const sentinel = `AJETREPLY${attempt}X${index}X`;
    if (!messages.some((message) => containsText(message, sentinel))) return sentinel;
  }
}

function containsText(message: ConversationMessage, text: string): boolean {
  return message.content.includes(text) || (message.toolCalls ?? []).some((call) => call.arguments.includes(text));
}
