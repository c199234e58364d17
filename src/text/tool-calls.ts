import { isJsonObject } from "./json-file.js";
import { memberSource } from "./json-span.js";

const OPEN = "<tool_call>";
const CLOSE = "</tool_call>";

/** A call that the model wrote; `arguments` is the JSON text as sampled. */
export interface ParsedToolCall {
  name: string;
  arguments: string;
}

/** What the parser lets through, in order. */
export type ToolCallEvent = { type: "text"; text: string } | { type: "call"; call: ParsedToolCall };

/**
 * Finds `<tool_call>{"name": …, "arguments": {…}}</tool_call>` (the Hermes format of Qwen and others) in text that
 * arrives in pieces. Text passes at once, except what may turn out to be the start of a call. White space next to a
 * call belongs to the format, not to the content. What is no well-formed call stays text, exactly as it was written.
 */
export class ToolCallParser {
  /** White space and a possible beginning of `<tool_call>`. */
  private held = "";
  /** From `<tool_call>` on, while a call is open; `undefined` in text. */
  private body: string | undefined;
  /** The white space in front of the open call, given back if the call is none. */
  private space = "";
  private afterCall = false;

  /** Events that `text` completes. */
  push(text: string): ToolCallEvent[] {
    const events: ToolCallEvent[] = [];
    let rest = text;
    while (rest !== "") rest = this.body === undefined ? this.scanText(rest, events) : this.scanCall(rest, events);
    return events;
  }

  /** The end of the text: a call left open is text. */
  end(): ToolCallEvent[] {
    const rest = this.body === undefined ? this.held : this.space + this.body;
    const events: ToolCallEvent[] = [];
    this.held = this.space = "";
    this.body = undefined;
    this.emitText(rest, events);
    return events;
  }

  // Returns what is left behind `<tool_call>`, or nothing.
  private scanText(text: string, events: ToolCallEvent[]): string {
    const buffer = this.held + text;
    const open = buffer.indexOf(OPEN);
    const end = open < 0 ? buffer.length - partialOpen(buffer) : open;
    const textEnd = buffer.slice(0, end).trimEnd().length;
    this.emitText(buffer.slice(0, textEnd), events);
    if (open < 0) {
      this.held = buffer.slice(textEnd);
      return "";
    }
    this.held = "";
    this.space = buffer.slice(textEnd, open);
    this.body = OPEN;
    return buffer.slice(open + OPEN.length);
  }

  private scanCall(text: string, events: ToolCallEvent[]): string {
    // CLOSE may have begun in an earlier piece.
    const from = Math.max(OPEN.length, (this.body as string).length - CLOSE.length + 1);
    const buffer = this.body + text;
    const close = buffer.indexOf(CLOSE, from);
    if (close < 0) {
      this.body = buffer;
      return "";
    }
    const end = close + CLOSE.length;
    const call = parseCall(buffer.slice(OPEN.length, close));
    this.body = undefined;
    if (call === undefined) {
      this.emitText(this.space + buffer.slice(0, end), events);
    } else {
      events.push({ type: "call", call });
      this.afterCall = true;
    }
    this.space = "";
    return buffer.slice(end);
  }

  private emitText(text: string, events: ToolCallEvent[]): void {
    const visible = this.afterCall ? text.trimStart() : text;
    if (visible === "") return;
    this.afterCall = false;
    events.push({ type: "text", text: visible });
  }
}

// Length of the longest end of `text` that `<tool_call>` begins with.
function partialOpen(text: string): number {
  for (let length = Math.min(OPEN.length - 1, text.length); length > 0; length--) {
    if (OPEN.startsWith(text.slice(text.length - length))) return length;
  }
  return 0;
}

function parseCall(source: string): ParsedToolCall | undefined {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch {
    return undefined;
  }
  if (!isJsonObject(value)) return undefined;
  const name = value["name"];
  const written = memberSource(source, "arguments");
  if (typeof name !== "string" || name === "" || !isJsonObject(value["arguments"]) || written === undefined) {
    return undefined;
  }
  return { name, arguments: written };
}
