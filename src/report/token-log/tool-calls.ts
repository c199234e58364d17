import type { LoggedCall, LoggedToolCall } from "./types.js";

type Message = {
  role?: unknown;
  content?: unknown;
  tool_call_id?: unknown;
  tool_calls?: unknown;
};

/** The tool calls of an episode's replies, each once, with the tool messages that answered them. */
export function toolCallsOf(
  calls: readonly Pick<LoggedCall, "messages" | "reply" | "startMs" | "endMs">[],
): LoggedToolCall[] {
  const answers = new Map<string, { output: string; ms: number | undefined }>();
  for (const { messages, startMs } of calls) {
    for (const message of messages as Message[]) {
      if (message?.role !== "tool" || typeof message.tool_call_id !== "string") continue;
      if (answers.has(message.tool_call_id)) continue; // later requests repeat it
      answers.set(message.tool_call_id, { output: textOf(message.content), ms: startMs });
    }
  }
  return calls.flatMap(({ reply, endMs }, index) =>
    madeBy(reply as Message | null).map(({ id, function: { name, arguments: json } }) => {
      const answer = answers.get(id);
      const ms = answer?.ms === undefined || endMs === undefined ? undefined : Math.max(0, answer.ms - endMs);
      const output = answer?.output;
      return { call: index, id, name, arguments: json, output, isError: output !== undefined && isError(output), ms };
    }),
  );
}

function madeBy(reply: Message | null): { id: string; function: { name: string; arguments: string } }[] {
  const made = reply?.tool_calls;
  return Array.isArray(made) ? made : [];
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part: { text?: unknown } | null) => (typeof part?.text === "string" ? part.text : "")).join("");
}

/**
 * Tools have no field for errors; what counts is how they are told: a Python or JavaScript error, an exit code or an
 * `error` in a JSON object, a `<returncode>` that is not 0.
 */
export function isError(output: string): boolean {
  const text = output.trim();
  if (/^Traceback \(most recent call last\)|^[A-Z]\w*(Error|Exception)\b|^Error\b/m.test(text)) return true;
  const exitCode = /<returncode>\s*(-?\d+)\s*<\/returncode>/.exec(text)?.[1];
  if (exitCode !== undefined) return Number(exitCode) !== 0;
  if (!text.startsWith("{")) return false;
  try {
    const { returncode, error } = JSON.parse(text) as { returncode?: unknown; error?: unknown };
    return (typeof returncode === "number" && returncode !== 0) || Boolean(error);
  } catch {
    return false;
  }
}
