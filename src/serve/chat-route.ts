import type { FastifyReply, FastifyRequest } from "fastify";
import { clientGone, queueFull, toApiError } from "./api-error.js";
import { readCallOrdinal } from "./call-numbers.js";
import type { ChatCompletions, PreparedCompletion } from "./chat-completion.js";
import { readChatRequest } from "./chat-request.js";
import type { ServerOptions } from "./contract.js";
import { EventStream } from "./event-stream.js";
import type { Metrics } from "./metrics.js";
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

/** Default of `ServerOptions.maxPending`. */
const MAX_PENDING = 4096;

/** `POST /v1/chat/completions`. */
export class ChatRoute {
  /** Requests waiting or running. */
  pending = 0;

  constructor(
    private readonly completions: ChatCompletions,
    private readonly metrics: () => Metrics,
    private readonly options: ServerOptions,
  ) {}

  /** Answers a request; resolves when the answer is written. */
  async handle(session: Session, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const limit = this.options.maxPending ?? MAX_PENDING;
    if (this.pending >= limit) throw queueFull(limit);
    const started = performance.now();
    // Nothing is awaited up to here: calls that bring no number are counted in the order of arrival.
    const chat = readChatRequest(request.body, session.options, this.options.modelName);
    const prepared = this.completions.prepare(chat, session, readCallOrdinal(request.headers));
    const controller = new AbortController();
    const onClose = () => {
      if (!reply.raw.writableFinished) controller.abort(clientGone());
    };
    reply.raw.once("close", onClose);
    this.pending++;
    try {
      const answer = chat.stream ? this.stream : this.whole;
      return await session.run(controller, async () => {
        const result = await answer.call(this, prepared, session, controller, reply);
        if (result === undefined) return reply;
        const seconds = (performance.now() - started) / 1000;
        this.metrics().countCompletion(result.promptTokens, result.completionTokens, seconds);
        return chat.stream ? reply : completionBody(this.head(prepared), result, chat);
      });
    } finally {
      this.pending--;
      if (!chat.stream) reply.raw.off("close", onClose);
    }
  }

  private async whole(
    prepared: PreparedCompletion,
    session: Session,
    controller: AbortController,
  ): Promise<CompletionResult> {
    return this.completions.run(prepared, session, controller);
  }

  // Failures end the stream with an error event, since the status is sent by then.
  private async stream(
    prepared: PreparedCompletion,
    session: Session,
    controller: AbortController,
    reply: FastifyReply,
  ): Promise<CompletionResult | undefined> {
    reply.hijack();
    const events = new EventStream(reply.raw);
    const head = this.head(prepared);
    const { n, includeUsage } = prepared.request;
    const send = (choice: number, delta: object, more: { logprobs?: readonly TokenLogprob[] } = {}) =>
      events.send(chunkBody(head, choice, delta, { ...more, includeUsage }));
    try {
      for (let choice = 0; choice < n; choice++) send(choice, { role: "assistant", content: "" });
      const sink = (choice: number, deltas: readonly ReplyDelta[], logprobs: readonly TokenLogprob[]) => {
        const [first, ...rest] = deltas;
        send(choice, first === undefined ? {} : deltaBody(first), { logprobs });
        for (const delta of rest) send(choice, deltaBody(delta));
      };
      const result = await this.completions.run(prepared, session, controller, sink);
      for (const [choice, { finishReason }] of result.choices.entries()) {
        events.send(chunkBody(head, choice, {}, { finishReason, includeUsage }));
      }
      if (includeUsage) events.send(usageChunkBody(head, result));
      events.done();
      return result;
    } catch (error) {
      const failure = toApiError(error);
      if (failure.status === 500) this.options.onError?.(error);
      events.fail(failure);
      return undefined;
    }
  }

  private head({ request, identity }: PreparedCompletion): ResponseHead {
    return {
      id: identity.callId,
      created: Math.floor(Date.now() / 1000),
      model: request.model,
      system_fingerprint: `ajet-weights-${this.options.engine.version()}`,
    };
  }
}
