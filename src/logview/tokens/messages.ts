/** A part of the conversation: the tokens of one message, those of the chat template around it included. */
export interface Message {
  role: string;
  /** First token, and the one after the last. */
  from: number;
  to: number;
}

/** How chat templates mark a message's beginning; what lies between `open` and `close` is the role. */
const HEADERS = [
  { open: "<|im_start|>", close: "\n" },
  { open: "<|start_header_id|>", close: "<|end_header_id|>" },
  { open: "<start_of_turn>", close: "\n" },
];

/** Longer texts after an opening token are no role. */
const MOST_ROLE = 24;
/** Templates that have no role for tools let the user say what they answered. */
const TOOL_ANSWER = "<tool_response>";
/** Characters in which all of that stands. */
const MOST_HEAD = MOST_ROLE + TOOL_ANSWER.length + 8;

/**
 * Where messages begin, by the template's own tokens; where it has none that are known, by turns of prompt and reply.
 * @param sampledBy Of {@link Timeline}.
 */
export function messagesOf(texts: readonly string[], sampledBy: readonly number[]): Message[] {
  const starts: { role: string; from: number }[] = [];
  for (const [i, text] of texts.entries()) {
    const header = HEADERS.find(({ open }) => open === text);
    const role = header && roleAfter(texts, i, header.close);
    if (role !== undefined) starts.push({ role, from: i });
  }
  if (starts.length === 0) return turns(sampledBy);
  if ((starts[0]?.from ?? 0) > 0) starts.unshift({ role: "start", from: 0 });
  return starts.map(({ role, from }, i) => ({ role, from, to: starts[i + 1]?.from ?? texts.length }));
}

function roleAfter(texts: readonly string[], at: number, close: string): string | undefined {
  let text = "";
  for (let i = at + 1; i < texts.length && text.length < MOST_HEAD; i++) text += texts[i];
  const end = text.indexOf(close);
  const role = end < 0 || end > MOST_ROLE ? "" : text.slice(0, end).trim();
  const said = text.slice(end + close.length).trimStart();
  return role === "user" && said.startsWith(TOOL_ANSWER) ? "tool" : role || undefined;
}

function turns(sampledBy: readonly number[]): Message[] {
  const messages: Message[] = [];
  for (const [i, call] of sampledBy.entries()) {
    const role = call < 0 ? "prompt" : "reply";
    const last = messages.at(-1);
    if (last?.role === role) last.to = i + 1;
    else messages.push({ role, from: i, to: i + 1 });
  }
  return messages;
}
