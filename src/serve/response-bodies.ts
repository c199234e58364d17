import type { TokenEvent } from "../native/types.js";
import type { CallRecord } from "../rollout/call-record.js";
import type { Tokenizer } from "../text/tokenizer.js";
import type { ConversationMessage } from "./chat-messages.js";
import type { ChatRequest } from "./chat-request.js";
import type { ReplyDelta } from "./reply-assembler.js";

/** A tool call as the API writes it. */
export interface ToolCallBody {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

/** An assistant's message as the API writes it. */
export interface MessageBody {
  role: "assistant";
  content: string | null;
  refusal: null;
  tool_calls?: ToolCallBody[];
}

/** One token's log-prob: `bytes` tells parts of characters that `token` cannot show. */
export interface TokenLogprob {
  token: string;
  logprob: number;
  bytes: number[];
  top_logprobs: { token: string; logprob: number; bytes: number[] }[];
}

/** What came of one choice. */
export interface ChoiceResult {
  message: MessageBody;
  finishReason: CallRecord["finishReason"];
  /** Empty unless asked for. */
  logprobs: readonly TokenLogprob[];
  tokens: number;
}

/** What came of a request. */
export interface CompletionResult {
  choices: readonly ChoiceResult[];
  promptTokens: number;
  /** Of these, those that the engine had computed before. */
  cachedTokens: number;
  completionTokens: number;
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The API's form of a reply; `content` is null where there are only tool calls. */
export function messageBody(message: ConversationMessage): MessageBody {
  const { content, toolCalls } = message;
  const body: MessageBody = { role: "assistant", content: toolCalls && content === "" ? null : content, refusal: null };
  if (toolCalls !== undefined) body.tool_calls = toolCalls.map(toolCallBody);
  return body;
}

/** The API's form of a sampled token. */
export function tokenLogprob(tokenizer: Tokenizer, event: Pick<TokenEvent, "token" | "logprob" | "top">): TokenLogprob {
  const entry = ({ token, logprob }: { token: number; logprob: number }) => {
    const bytes = tokenizer.bytes(token);
    // JSON has no infinity; -9999 is the API's own stand-in for "never".
    return { token: utf8.decode(bytes), logprob: Number.isFinite(logprob) ? logprob : -9999, bytes: [...bytes] };
  };
  return { ...entry(event), top_logprobs: event.top.map(entry) };
}

/** Fields that a response and its chunks share. */
export interface ResponseHead {
  id: string;
  created: number;
  model: string;
  system_fingerprint: string;
}

/** The body of a response that is not streamed. */
export function completionBody(head: ResponseHead, result: CompletionResult, request: ChatRequest): object {
  return {
    ...head,
    object: "chat.completion",
    choices: result.choices.map((choice, index) => ({
      index,
      message: choice.message,
      logprobs: request.logprobs ? { content: choice.logprobs, refusal: null } : null,
      finish_reason: choice.finishReason,
    })),
    usage: usageBody(result),
  };
}

/** A chunk of one choice. */
export function chunkBody(
  head: ResponseHead,
  choice: number,
  delta: object,
  options: { finishReason?: ChoiceResult["finishReason"]; logprobs?: readonly TokenLogprob[]; includeUsage: boolean },
): object {
  const { finishReason = null, logprobs, includeUsage } = options;
  return {
    ...head,
    object: "chat.completion.chunk",
    choices: [
      {
        index: choice,
        delta,
        logprobs: logprobs === undefined || logprobs.length === 0 ? null : { content: logprobs, refusal: null },
        finish_reason: finishReason,
      },
    ],
    // The API sends `usage: null` with every chunk but the last where usage was asked for.
    ...(includeUsage ? { usage: null } : {}),
  };
}

/** The last chunk where usage was asked for. */
export function usageChunkBody(head: ResponseHead, result: CompletionResult): object {
  return { ...head, object: "chat.completion.chunk", choices: [], usage: usageBody(result) };
}

/** The `delta` of a chunk. */
export function deltaBody(delta: ReplyDelta): object {
  if (delta.type === "content") return { content: delta.text };
  return { tool_calls: [{ index: delta.index, ...toolCallBody(delta.call) }] };
}

function toolCallBody(call: { id: string; name: string; arguments: string }): ToolCallBody {
  return { id: call.id, type: "function", function: { name: call.name, arguments: call.arguments } };
}

function usageBody(result: CompletionResult): object {
  const { promptTokens, cachedTokens, completionTokens } = result;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}
