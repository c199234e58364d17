import type { EpisodeTrace, JudgedCall, ToolResult } from "../agent/judge.js";
import type { ChatMessage } from "../agent/task.js";
import type { CallRecord } from "./call-record.js";

/** What judges see of an episode's calls. */
export function traceOf(records: readonly CallRecord[]): EpisodeTrace {
  const calls = records.map(({ messages, reply, finishReason }) => ({
    messages: messages as ChatMessage[],
    reply: reply as ChatMessage,
    finishReason,
  }));
  return { calls, toolResults: toolResults(calls) };
}

/** The tool messages of all requests, each once. */
function toolResults(calls: readonly JudgedCall[]): ToolResult[] {
  const names = new Map(
    calls.flatMap(({ messages, reply }) =>
      [...messages, reply].flatMap(({ tool_calls = [] }) => tool_calls.map((call) => [call.id, call.function.name])),
    ) as [string, string][],
  );
  const results = new Map<string, ToolResult>();
  for (const message of calls.flatMap(({ messages }) => messages)) {
    if (message.role !== "tool") continue;
    const { tool_call_id: toolCallId = "", content } = message;
    const text = typeof content === "string" ? content : (content ?? []).map((part) => part.text).join("");
    const name = message.name ?? names.get(toolCallId);
    results.set(JSON.stringify([toolCallId, text]), {
      toolCallId,
      ...(name === undefined ? {} : { name }),
      content: text,
    });
  }
  return [...results.values()];
}
