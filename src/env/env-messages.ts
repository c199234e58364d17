import type { ChatMessage } from "../agent/task.js";

/** The state of a new instance: one message, or several. */
export function firstMessages(state: unknown): ChatMessage[] | undefined {
  if (Array.isArray(state)) return state.every(isMessage) && state.length > 0 ? state.map(plainMessage) : undefined;
  return messagesOf(state);
}

/** The state after a step: a message, a list of (tool) messages, or `{ error }`, which the agent reads too. */
export function messagesOf(state: unknown): ChatMessage[] | undefined {
  if (Array.isArray(state)) return state.every(isMessage) ? state.map(plainMessage) : undefined;
  if (typeof state !== "object" || state === null) return undefined;
  const { error } = state as { error?: unknown };
  if (isMessage(state)) return [plainMessage(state)];
  if (error === undefined) return undefined;
  return [{ role: "user", content: typeof error === "string" ? error : JSON.stringify(error) }];
}

function isMessage(value: unknown): value is ChatMessage {
  const { role, content } = (value ?? {}) as { role?: unknown; content?: unknown };
  return typeof role === "string" && content !== undefined;
}

/** Blocks of text become one text; services write both. */
function plainMessage(message: ChatMessage): ChatMessage {
  const { content } = message;
  if (!Array.isArray(content)) return message;
  return { ...message, content: content.map((block) => block.text ?? "").join("") };
}
