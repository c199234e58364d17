import type { EpisodeTrace, JudgedCall, Judgement } from "../agent/judge.js";
import type { PenaltyArgs } from "./judge-args.js";

/** Takes the penalties from a judgement, each at most once. Whether the episode is a success stays as it was. */
export function withPenalties(judgement: Judgement, args: PenaltyArgs, trace?: Partial<EpisodeTrace>): Judgement {
  const calls = trace?.calls ?? [];
  const faults: [penalty: number, reason: string, part: string][] = [];
  if (args.malformed_tool_call_penalty > 0 && calls.some(hasMalformedToolCall)) {
    faults.push([args.malformed_tool_call_penalty, "a malformed <tool_call>", "malformed_tool_call"]);
  }
  if (args.missing_print_penalty > 0 && calls.some(hasCodeWithoutPrint)) {
    faults.push([args.missing_print_penalty, "code without print", "missing_print"]);
  }
  if (faults.length === 0) return judgement;
  const reasons = [judgement.reason, ...faults.map(([penalty, reason]) => `-${penalty} for ${reason}`)];
  return {
    ...judgement,
    reward: faults.reduce((reward, [penalty]) => reward - penalty, judgement.reward),
    reason: reasons.filter((reason) => reason !== undefined).join(", "),
    parts: {
      ...(judgement.parts ?? { answer: judgement.reward }),
      ...Object.fromEntries(faults.map(([penalty, _, part]) => [part, -penalty])),
    },
  };
}

/** The server reads valid tool calls out of the text: a tag that is left is none. */
export function hasMalformedToolCall({ reply }: JudgedCall): boolean {
  const text =
    typeof reply.content === "string" ? reply.content : (reply.content ?? []).map((part) => part.text).join("");
  return /<\/?tool_call>/.test(text);
}

/** True where a tool call brings Python `code` that writes nothing. Calls without `code` do not count. */
export function hasCodeWithoutPrint({ reply }: JudgedCall): boolean {
  return (reply.tool_calls ?? []).some((call) => {
    const code = codeOf(call.function.arguments);
    return code !== undefined && !/\b(print|write)\s*\(/.test(withoutTexts(code));
  });
}

function codeOf(argumentsJson: string): string | undefined {
  try {
    const code = (JSON.parse(argumentsJson) as { code?: unknown } | null)?.code;
    return typeof code === "string" ? code : undefined;
  } catch {
    return undefined;
  }
}

/** Python without its string literals and comments. */
function withoutTexts(code: string): string {
  return code.replace(/"""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|#[^\n]*/g, '""');
}
