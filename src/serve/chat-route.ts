import type { FastifyReply, FastifyRequest } from "fastify";
import { clientGone, queueFull, toApiError } from "./api-error.js";
import type { Caller } from "./bearer.js";
import { readCallOrdinal } from "./call-numbers.js";
import type { ChatCompletions, PreparedCompletion } from "./chat-completion.js";
import { readChatRequest } from "./chat-request.js";
import type { ServerOptions } from "./contract.js";
import { EventStream } from "./event-stream.js";
import type { Metrics } from "./metrics.js";
import { chatFormat, type ReplyFormat } from "./reply-format.js";
import type { CompletionResult, ResponseHead } from "./response-bodies.js";
import type { Session } from "./session.js";

/** Default of `ServerOptions.maxPending`. */
const MAX_PENDING = 4096;

/** Answers chat requests, in the form of one API or another. */
export class ChatRoute {
  /** Requests waiting or running. */
  pending = 0;

  constructor(
    private readonly completions: ChatCompletions,
    private readonly metrics: () => Metrics,
    private readonly options: ServerOptions,
  ) {}

  /** Answers a request; resolves when the answer is written. */
  async handle(
    { session, agent }: Caller<Session>,
    request: FastifyRequest,
    reply: FastifyReply,
    format: ReplyFormat = chatFormat,
  ): Promise<unknown> {
    const limit = this.options.maxPending ?? MAX_PENDING;
    if (this.pending >= limit) throw queueFull(limit);
    const started = performance.now();
    // Nothing is awaited up to here: calls that bring no number are counted in the order of arrival.
    const chat = readChatRequest(format.chatBody(request.body, session), session.options, this.options.modelName);
    const prepared = this.completions.prepare(chat, session, readCallOrdinal(request.headers), agent);
    const controller = new AbortController();
    const onClose = () => {
      if (!reply.raw.writableFinished) controller.abort(clientGone());
    };
    reply.raw.once("close", onClose);
    this.pending++;
    try {
      const answer = chat.stream ? this.stream : this.whole;
      return await session.run(controller, async () => {
        const result = await answer.call(this, prepared, session, controller, reply, format);
        if (result === undefined) return reply;
        const seconds = (performance.now() - started) / 1000;
        this.metrics().countCompletion(result.promptTokens, result.completionTokens, seconds);
        return chat.stream ? reply : format.whole(this.head(prepared), prepared, result, session);
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
    format: ReplyFormat,
  ): Promise<CompletionResult | undefined> {
    reply.hijack();
    const answer = format.stream(this.head(prepared), prepared, new EventStream(reply.raw), session);
    try {
      const result = await this.completions.run(prepared, session, controller, answer.sink);
      answer.finish(result);
      return result;
    } catch (error) {
      const failure = toApiError(error);
      if (failure.status === 500) this.options.onError?.(error);
      answer.fail(failure);
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
