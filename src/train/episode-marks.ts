import type { JudgedCall } from "../agent/judge.js";
import type { ChatMessage } from "../agent/task.js";
import { hasCodeWithoutPrint, hasMalformedToolCall } from "../judges/tool-penalties.js";
import type { EpisodeMark } from "../report/token-log/types.js";
import type { CallRecord } from "../rollout/call-record.js";
import { traceOf } from "../rollout/episode-trace.js";

/**
 * What an episode's replies show of the habits that training is to change.
 * @param usesTools The step's episodes do: an answer without a tool's output is one too early.
 */
export function episodeMarks(calls: readonly CallRecord[], usesTools: boolean): EpisodeMark[] {
  const replies = traceOf(calls).calls;
  const isEarly = (call: JudgedCall) => answersBesideCall(call) || (usesTools && answersWithoutTool(call));
  const marks: [EpisodeMark, boolean][] = [
    ["no_print", replies.some(hasCodeWithoutPrint)],
    ["early_answer", replies.some(isEarly)],
    ["malformed_call", replies.some(hasMalformedToolCall)],
  ];
  return marks.flatMap(([mark, isShown]) => (isShown ? [mark] : []));
}

/** True where one of the replies calls a tool. */
export function callsTool(calls: readonly CallRecord[]): boolean {
  return calls.some(({ reply }) => toolCallsOf(reply as ChatMessage | null).length > 0);
}

const BOXED = /\\boxed\s*\{/;
const FINAL_ANSWER = /\\boxed\s*\{|\bfinal answer\b|\banswer is\b/i;

/** True where a reply calls a tool and answers at once: in its text, or in the arguments of another call. */
function answersBesideCall({ reply }: JudgedCall): boolean {
  const calls = toolCallsOf(reply);
  if (calls.length === 0) return false;
  return hasFinalAnswer(reply) || (calls.length > 1 && calls.some((call) => BOXED.test(call.function.arguments)));
}

function answersWithoutTool({ reply, messages }: JudgedCall): boolean {
  return hasFinalAnswer(reply) && messages.every(({ role }) => role !== "tool");
}

function hasFinalAnswer({ content }: ChatMessage): boolean {
  return FINAL_ANSWER.test(typeof content === "string" ? content : (content ?? []).map((part) => part.text).join(""));
}

function toolCallsOf(reply: ChatMessage | null): NonNullable<ChatMessage["tool_calls"]> {
  return reply?.tool_calls ?? [];
}
