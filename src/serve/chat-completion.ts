import { AbortError } from "../native/errors.js";
import type { Completion, TokenEvent } from "../native/types.js";
import type { CallRecord } from "../rollout/call-record.js";
import { type ChatTemplate, TemplateError } from "../text/chat-template.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { generationCancelled, invalidField } from "./api-error.js";
import type { ChatRequest } from "./chat-request.js";
import { type BuiltPrompt, PromptBuilder } from "./prompt-builder.js";
import { ReplyAssembler, type ReplyDelta } from "./reply-assembler.js";
import {
  type ChoiceResult,
  type CompletionResult,
  messageBody,
  type TokenLogprob,
  tokenLogprob,
} from "./response-bodies.js";
import type { CallIdentity, Session } from "./session.js";
import type { TextEngine } from "./text-engine.js";

/** Receives a streamed choice piece by piece. */
export type DeltaSink = (choice: number, deltas: readonly ReplyDelta[], logprobs: readonly TokenLogprob[]) => void;

/** A request that is ready to run: its prompt fits, its identity is fixed. */
export interface PreparedCompletion {
  request: ChatRequest;
  prompt: BuiltPrompt;
  identity: CallIdentity;
  agent: string | undefined;
  maxTokens: number;
  /** `performance.now()` */
  startedMs: number;
}

// One choice on its way.
interface ChoiceState {
  assembler: ReplyAssembler;
  logprobs: TokenLogprob[];
}

/** Runs chat requests on the engine and records what was sampled. */
export class ChatCompletions {
  private readonly prompts: PromptBuilder;

  constructor(
    private readonly engine: TextEngine,
    private readonly tokenizer: Tokenizer,
    template: ChatTemplate,
  ) {
    this.prompts = new PromptBuilder(tokenizer, template);
  }

  /**
   * Builds the prompt. 400 where the template refuses the messages or the prompt does not fit.
   * @param issued Number of the call among equal ones, where the client has counted.
   * @param agent Who of the session calls, where the key says so.
   */
  prepare(request: ChatRequest, session: Session, issued?: number, agent?: string): PreparedCompletion {
    const startedMs = performance.now();
    let prompt: BuiltPrompt;
    try {
      prompt = this.prompts.build(request, session.replies);
    } catch (error) {
      if (error instanceof TemplateError) throw invalidField("messages", error.message, "template_error");
      throw error;
    }
    const { maxContext } = this.engine;
    const length = prompt.promptIds.length;
    if (length === 0) throw invalidField("messages", "The chat template makes an empty prompt of these messages");
    if (length >= maxContext) {
      session.options.onContextOverflow?.();
      throw invalidField(
        "messages",
        `This model's context holds ${maxContext} tokens, but the messages (with tools and template) come to ` +
          `${length}, which leaves no room for a reply. Shorten the conversation or load the model with a larger context.`,
        "context_length_exceeded",
      );
    }
    session.noteForks(prompt.forks);
    const identity = session.identify(prompt.promptIds, request, issued, agent);
    return { request, prompt, identity, agent, maxTokens: Math.min(request.maxTokens, maxContext - length), startedMs };
  }

  /** Samples all choices. Rejects with the reason of `controller` once that aborts; what there is is recorded. */
  async run(
    prepared: PreparedCompletion,
    session: Session,
    controller: AbortController,
    sink?: DeltaSink,
  ): Promise<CompletionResult> {
    const { request, prompt, identity } = prepared;
    const choices = Array.from({ length: request.n }, (_, choice) => this.newChoice(prepared, choice));
    const onTokens = (events: readonly TokenEvent[], endChoice: (choice: number) => void) => {
      for (const event of events) {
        const choice = choices[event.choice] as ChoiceState;
        if (choice.assembler.stopped) continue;
        const { deltas, logprobs } = this.take(choice, event, request);
        if (sink !== undefined && deltas.length + logprobs.length > 0) sink(event.choice, deltas, logprobs);
        if (choice.assembler.stopped && event.finishReason === undefined) endChoice(event.choice);
      }
    };
    let completions: Completion[];
    try {
      completions = await this.engine.generate(prompt.promptIds, {
        maxTokens: prepared.maxTokens,
        temperature: request.temperature,
        topP: request.topP,
        topK: request.topK,
        minP: request.minP,
        seed: identity.seed,
        stopTokenIds: this.tokenizer.endIds,
        topLogprobs: request.topLogprobs,
        choices: request.n,
        signal: controller.signal,
        keepPartial: true,
        ...(sink !== undefined || request.stop.length > 0 ? { onTokens } : {}),
      });
    } catch (error) {
      if (error instanceof AbortError && controller.signal.aborted) throw controller.signal.reason;
      throw error;
    }
    const results = completions.map((completion) =>
      this.finish(completion, choices[completion.choice] as ChoiceState, prepared, session, controller.signal, sink),
    );
    controller.signal.throwIfAborted();
    if (results.some((result) => result.finishReason === "cancelled")) throw generationCancelled();
    return {
      choices: results,
      promptTokens: prompt.promptIds.length,
      // The other choices find what the first one has just computed.
      cachedTokens: completions[0]?.cachedTokens ?? 0,
      completionTokens: results.reduce((sum, result) => sum + result.tokens, 0),
    };
  }

  private newChoice({ request, identity }: PreparedCompletion, choice: number): ChoiceState {
    const { stop, parseTools } = request;
    const toolCallId = (index: number) => identity.toolCallId(choice, index);
    const assembler = new ReplyAssembler({ tokenizer: this.tokenizer, stop, parseTools, toolCallId });
    return { assembler, logprobs: [] };
  }

  private take(
    { assembler, logprobs }: ChoiceState,
    event: Pick<TokenEvent, "token" | "logprob" | "top">,
    request: ChatRequest,
  ): { deltas: ReplyDelta[]; logprobs: TokenLogprob[] } {
    // The end of a cancelled choice carries no token.
    if (assembler.stopped || event.token < 0) return { deltas: [], logprobs: [] };
    const deltas = assembler.push(event.token);
    const isShown = request.logprobs && !this.tokenizer.endIds.includes(event.token);
    const added = isShown ? [tokenLogprob(this.tokenizer, event)] : [];
    logprobs.push(...added);
    return { deltas, logprobs: added };
  }

  private finish(
    completion: Completion,
    state: ChoiceState,
    prepared: PreparedCompletion,
    session: Session,
    signal: AbortSignal,
    sink: DeltaSink | undefined,
  ): ChoiceResult {
    const { request, prompt } = prepared;
    const { assembler } = state;
    // Tokens that no event told of: all of them, unless the reply was streamed or watched for stop texts.
    const deltas: ReplyDelta[] = [];
    const shown = state.logprobs.length;
    for (let i = assembler.tokens; i < completion.tokens.length && !assembler.stopped; i++) {
      const token = completion.tokens[i] as number;
      const logprob = completion.logprobs[i] as number;
      deltas.push(...this.take(state, { token, logprob, top: completion.top[i] ?? [] }, request).deltas);
    }
    deltas.push(...assembler.end());
    const logprobs = state.logprobs.slice(shown);
    if (deltas.length + logprobs.length > 0) sink?.(completion.choice, deltas, logprobs);
    const message = assembler.message();
    const length = assembler.tokens;
    const sampledIds = completion.tokens.slice(0, length);
    const ended = assembler.stopped ? "stop" : completion.finishReason;
    const finishReason = ended === "stop" && message.toolCalls !== undefined ? "tool_calls" : ended;
    const cancelled = finishReason === "cancelled" || signal.aborted;
    if (!cancelled) {
      const { conversation, promptIds } = prompt;
      session.replies.remember({ conversation, messages: request.messages, reply: message, promptIds, sampledIds });
    }
    const body = messageBody(message);
    session.options.record({
      callId: prepared.identity.callId,
      choice: completion.choice,
      ...(prepared.agent === undefined ? {} : { agent: prepared.agent }),
      promptIds: prompt.promptIds,
      sampledIds,
      logprobs: completion.logprobs.slice(0, length),
      temperature: request.temperature,
      firstVersion: completion.firstVersion,
      lastVersion: completion.lastVersion,
      finishReason,
      ...dropReason(cancelled, length),
      ordinal: prepared.identity.ordinal,
      repetition: prepared.identity.repetition,
      startedMs: prepared.startedMs,
      endedMs: performance.now(),
      messages: request.sentMessages,
      reply: body,
    });
    return { message: body, finishReason, logprobs: state.logprobs, tokens: length };
  }
}

function dropReason(cancelled: boolean, tokens: number): Pick<CallRecord, "dropReason"> {
  if (cancelled) return { dropReason: "cancelled" };
  return tokens === 0 ? { dropReason: "no_tokens" } : {};
}
