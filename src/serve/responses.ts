import type { EventStream } from "./event-stream.js";
import type { ReplyDelta } from "./reply-assembler.js";
import type { ReplyFormat, ReplyStream } from "./reply-format.js";
import type { CompletionResult, ResponseHead } from "./response-bodies.js";
import { chatBodyOf } from "./responses-request.js";
import type { Session } from "./session.js";

/** An output item of the Responses API. */
type Item = { id: string; type: "message" | "function_call"; status: string } & Record<string, unknown>;

/** `POST /v1/responses`: the part of it that agents need, as another form of the chat API. */
export const responsesFormat: ReplyFormat = {
  chatBody: chatBodyOf,
  whole(head, _prepared, result, session) {
    const items = itemsOf(head, result);
    remember(items, session);
    return responseBody(head, items, result);
  },
  stream: (head, _prepared, events, session) => new ResponseStream(head, events, session),
};

function itemsOf(head: ResponseHead, { choices }: CompletionResult): Item[] {
  const message = choices[0]?.message;
  const calls = message?.tool_calls ?? [];
  const text = message?.content ?? "";
  const items = text === "" && calls.length > 0 ? [] : [messageItem(head, text)];
  return [...items, ...calls.map(({ id, function: { name, arguments: args } }) => callItem(id, name, args))];
}

function messageItem(head: ResponseHead, text: string, status = "completed", index = 0): Item {
  const content = status === "completed" ? [textPart(text)] : [];
  const id = `msg_${head.id.replace("chatcmpl-", "")}${index === 0 ? "" : `_${index}`}`;
  return { id, type: "message", status, role: "assistant", content };
}

function textPart(text: string): object {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

function callItem(callId: string, name: string, args: string, status = "completed"): Item {
  const id = `fc_${callId.replace("call_", "")}`;
  return { id, type: "function_call", status, call_id: callId, name, arguments: args };
}

function remember(items: readonly Item[], session: Session): void {
  for (const item of items) session.items.set(item.id, item);
}

function responseBody(head: ResponseHead, output: readonly Item[], result?: CompletionResult): object {
  const isCut = result?.choices[0]?.finishReason === "length";
  return {
    id: head.id.replace("chatcmpl-", "resp_"),
    object: "response",
    created_at: head.created,
    model: head.model,
    status: result === undefined ? "in_progress" : isCut ? "incomplete" : "completed",
    incomplete_details: isCut ? { reason: "max_output_tokens" } : null,
    error: null,
    instructions: null,
    metadata: {},
    output,
    ...{ parallel_tool_calls: true, tool_choice: "auto", tools: [], temperature: null, top_p: null },
    usage: result === undefined ? null : usageBody(result),
  };
}

function usageBody({ promptTokens, cachedTokens, completionTokens }: CompletionResult): object {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + completionTokens,
  };
}

/** The events of one response: items open, grow and close one after the other. */
class ResponseStream implements ReplyStream {
  private number = 0;
  private readonly items: Item[] = [];
  /** Text of the message item that is open. */
  private text: string | undefined;

  constructor(
    private readonly head: ResponseHead,
    private readonly events: EventStream,
    private readonly session: Session,
  ) {
    for (const type of ["response.created", "response.in_progress"])
      this.send(type, { response: responseBody(head, []) });
  }

  readonly sink = (_choice: number, deltas: readonly ReplyDelta[]): void => {
    for (const delta of deltas) {
      if (delta.type === "content") this.say(delta.text);
      else this.call(callItem(delta.call.id, delta.call.name, delta.call.arguments));
    }
  };

  finish(result: CompletionResult): void {
    if (this.items.length === 0 && this.text === undefined) this.say("");
    this.closeMessage();
    remember(this.items, this.session);
    const response = responseBody(this.head, this.items, result);
    const isCut = result.choices[0]?.finishReason === "length";
    this.send(isCut ? "response.incomplete" : "response.completed", { response });
    this.events.end();
  }

  fail({ body: { error } }: Parameters<ReplyStream["fail"]>[0]): void {
    this.send("error", { code: error.code, message: error.message, param: error.param });
    this.events.end();
  }

  private say(delta: string): void {
    const place = this.place();
    if (this.text === undefined) {
      const item = messageItem(this.head, "", "in_progress", this.items.length);
      this.send("response.output_item.added", { output_index: this.items.length, item });
      this.send("response.content_part.added", { ...place, part: textPart("") });
      this.text = "";
    }
    this.text += delta;
    if (delta !== "") this.send("response.output_text.delta", { ...place, delta, logprobs: [] });
  }

  private closeMessage(): void {
    const { text } = this;
    if (text === undefined) return;
    const place = this.place();
    const item = messageItem(this.head, text, "completed", this.items.length);
    this.send("response.output_text.done", { ...place, text, logprobs: [] });
    this.send("response.content_part.done", { ...place, part: textPart(text) });
    this.close(item);
    this.text = undefined;
  }

  private call(item: Item): void {
    this.closeMessage();
    const place = { item_id: item.id, output_index: this.items.length };
    const { arguments: args, name } = item;
    this.send("response.output_item.added", {
      output_index: this.items.length,
      item: { ...item, arguments: "", status: "in_progress" },
    });
    this.send("response.function_call_arguments.delta", { ...place, delta: args });
    this.send("response.function_call_arguments.done", { ...place, name, arguments: args });
    this.close(item);
  }

  private close(item: Item): void {
    this.send("response.output_item.done", { output_index: this.items.length, item });
    this.items.push(item);
  }

  private place(): object {
    const index = this.items.length;
    return { item_id: messageItem(this.head, "", "completed", index).id, output_index: index, content_index: 0 };
  }

  private send(type: string, body: object): void {
    this.events.sendNamed({ type, sequence_number: this.number++, ...body } as { type: string });
  }
}
