import { StreamDecoder } from "../text/stream-decoder.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { type ToolCallEvent, ToolCallParser } from "../text/tool-calls.js";
import type { ConversationMessage, ConversationToolCall } from "./chat-messages.js";
import { StopStrings } from "./stop-strings.js";

/** What a client sees next of one choice. */
export type ReplyDelta =
  | { type: "content"; text: string }
  | { type: "tool_call"; index: number; call: ConversationToolCall };

export interface AssemblerOptions {
  tokenizer: Tokenizer;
  stop: readonly string[];
  parseTools: boolean;
  /** Id of the choice's tool call with this index. */
  toolCallId: (index: number) => string;
}

/** Builds one choice's message from its tokens: text, stop texts, tool calls. Streaming or not, the path is the same. */
export class ReplyAssembler {
  /** Tokens taken; after a stop text no more are. */
  tokens = 0;
  /** A stop text is complete. */
  stopped = false;
  private content = "";
  private readonly toolCalls: ConversationToolCall[] = [];
  private readonly decoder: StreamDecoder;
  private readonly stops: StopStrings;
  private readonly parser: ToolCallParser | undefined;
  private ended = false;

  constructor(private readonly options: AssemblerOptions) {
    this.decoder = new StreamDecoder(options.tokenizer);
    this.stops = new StopStrings(options.stop);
    this.parser = options.parseTools ? new ToolCallParser() : undefined;
  }

  /** Takes the next token; what comes after a stop text is dropped. */
  push(token: number): ReplyDelta[] {
    if (this.stopped) return [];
    this.tokens++;
    // The token that ends a turn is no part of its text, whether it is marked as special or not.
    if (this.options.tokenizer.endIds.includes(token)) return [];
    return this.pushText(this.decoder.push(token));
  }

  /** No more tokens: lets through what was held back. */
  end(): ReplyDelta[] {
    if (this.ended) return [];
    this.ended = true;
    const deltas = this.stopped ? [] : this.pushText(this.decoder.end());
    if (!this.stopped) deltas.push(...this.passText(this.stops.end()));
    deltas.push(...this.collect(this.parser?.end() ?? []));
    return deltas;
  }

  /** The message so far. */
  message(): ConversationMessage {
    const message: ConversationMessage = { role: "assistant", content: this.content };
    if (this.toolCalls.length > 0) message.toolCalls = this.toolCalls;
    return message;
  }

  private pushText(piece: string): ReplyDelta[] {
    if (piece === "") return [];
    const { text, stopped } = this.stops.push(piece);
    this.stopped = stopped;
    return this.passText(text);
  }

  private passText(text: string): ReplyDelta[] {
    if (text === "") return [];
    return this.collect(this.parser?.push(text) ?? [{ type: "text", text }]);
  }

  private collect(events: readonly ToolCallEvent[]): ReplyDelta[] {
    return events.map((event) => {
      if (event.type === "text") {
        this.content += event.text;
        return { type: "content", text: event.text };
      }
      const index = this.toolCalls.length;
      const call = { id: this.options.toolCallId(index), ...event.call };
      this.toolCalls.push(call);
      return { type: "tool_call", index, call };
    });
  }
}
