import type { ApiError } from "./api-error.js";
import type { DeltaSink, PreparedCompletion } from "./chat-completion.js";
import type { EventStream } from "./event-stream.js";
import type { ReplyDelta } from "./reply-assembler.js";
import {
  type CompletionResult,
  chunkBody,
  completionBody,
  deltaBody,
  type ResponseHead,
  type TokenLogprob,
  usageChunkBody,
} from "./response-bodies.js";
import type { Session } from "./session.js";

/** An answer that is written as it comes. */
export interface ReplyStream {
  sink: DeltaSink;
  finish(result: CompletionResult): void;
  /** The status is sent by then: the error itself is the last event. */
  fail(error: ApiError): void;
}

/** How one API puts a request and its answer. */
export interface ReplyFormat {
  /** The request's body as the chat API would have it. */
  chatBody(body: unknown, session: Session): unknown;
  whole(head: ResponseHead, prepared: PreparedCompletion, result: CompletionResult, session: Session): object;
  stream(head: ResponseHead, prepared: PreparedCompletion, events: EventStream, session: Session): ReplyStream;
}

/** `POST /v1/chat/completions`. */
export const chatFormat: ReplyFormat = {
  chatBody: (body) => body,
  whole: (head, { request }, result) => completionBody(head, result, request),
  stream(head, { request: { n, includeUsage } }, events) {
    const send = (choice: number, delta: object, more: { logprobs?: readonly TokenLogprob[] } = {}) =>
      events.send(chunkBody(head, choice, delta, { ...more, includeUsage }));
    for (let choice = 0; choice < n; choice++) send(choice, { role: "assistant", content: "" });
    return {
      sink: (choice: number, deltas: readonly ReplyDelta[], logprobs: readonly TokenLogprob[]) => {
        const [first, ...rest] = deltas;
        send(choice, first === undefined ? {} : deltaBody(first), { logprobs });
        for (const delta of rest) send(choice, deltaBody(delta));
      },
      finish: (result) => {
        for (const [choice, { finishReason }] of result.choices.entries()) {
          events.send(chunkBody(head, choice, {}, { finishReason, includeUsage }));
        }
        if (includeUsage) events.send(usageChunkBody(head, result));
        events.done();
      },
      fail: (error) => events.fail(error),
    };
  },
};
