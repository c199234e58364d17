import { isJsonObject } from "../text/json-file.js";
import type { ConversationMessage } from "./chat-messages.js";
import { digest } from "./digest.js";

/**
 * A key that two messages share exactly when they say the same: tool-call ids are left out (some clients renumber
 * them), and so is the name of an assistant's message (LangChain writes its node's there); arguments are compared as JSON
 * values, so that `1.0` and `1`, spacing and key order do not matter.
 */
export function messageKey(message: ConversationMessage): string {
  const { role, content, toolCalls, reasoningContent } = message;
  const calls = toolCalls?.map((call) => [call.name, canonicalArguments(call.arguments)]);
  return JSON.stringify([role, content, comparedName(message) ?? null, calls ?? [], reasoningContent ?? null]);
}

/** Keys of what stands before each message, and (last) of the whole conversation. */
export function conversationKeys(context: string, messages: readonly ConversationMessage[]): string[] {
  const keys = [digest("conversation", context).toString("base64")];
  for (const message of messages) {
    keys.push(digest(keys[keys.length - 1] as string, messageKey(message)).toString("base64"));
  }
  return keys;
}

/** The first field in which two messages differ, by the API's name; `undefined` where they say the same. */
export function differingField(a: ConversationMessage, b: ConversationMessage): string | undefined {
  if (a.role !== b.role) return "role";
  if (a.content !== b.content) return "content";
  if (comparedName(a) !== comparedName(b)) return "name";
  if (a.reasoningContent !== b.reasoningContent) return "reasoning_content";
  const [left, right] = [a.toolCalls ?? [], b.toolCalls ?? []];
  if (left.length !== right.length) return "tool_calls";
  for (const [index, call] of left.entries()) {
    const other = right[index];
    const path = `tool_calls[${index}].function`;
    if (call.name !== other?.name) return `${path}.name`;
    if (canonicalArguments(call.arguments) !== canonicalArguments(other.arguments)) return `${path}.arguments`;
  }
  return undefined;
}

// The model gives its replies no name: one that comes back with them is the client's label.
function comparedName({ role, name }: ConversationMessage): string | undefined {
  return role === "assistant" ? undefined : name;
}

/** The value of a call's `arguments`, or the text itself where it is no JSON. */
export function parseArguments(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function canonicalArguments(text: string): string {
  return JSON.stringify(parseArguments(text), (_key, value: unknown) =>
    isJsonObject(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value,
  );
}
