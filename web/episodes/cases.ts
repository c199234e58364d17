import type { EpisodeMark } from "../../src/report/token-log/types.js";

/** A kind of episodes that a click finds. */
export interface Case {
  id: string;
  label: string;
  title: string;
  tone: "good" | "bad" | "warn";
  params: Readonly<Record<string, string>>;
}

/** What the marks of an episode are called. */
export const MARK_LABELS: Record<EpisodeMark, string> = {
  no_print: "called without print",
  early_answer: "answered before the tool",
  malformed_call: "malformed call",
  tool_error: "tool error",
  cut_off: "cut off",
};

const MARK_TITLES: Record<EpisodeMark, string> = {
  no_print: "Code that was handed to a tool prints nothing, so that its result is lost",
  early_answer: "A final answer beside the call of a tool, or before any tool has answered",
  malformed_call: "A tool call that is none was left in the text",
  tool_error: "A tool answered with an error",
  cut_off: "A reply ended at its token limit",
};

/** The bad cases, and the good one: a tool was called, its output seen, and the answer is right. */
export const CASES: readonly Case[] = [
  {
    id: "good",
    label: "good: tool used, then answered",
    title: "Success with a tool call and none of the marks",
    tone: "good",
    params: { good: "true" },
  },
  ...(Object.keys(MARK_LABELS) as EpisodeMark[]).map((mark) => ({
    id: mark,
    label: MARK_LABELS[mark],
    title: MARK_TITLES[mark],
    tone: mark === "cut_off" || mark === "tool_error" ? ("warn" as const) : ("bad" as const),
    params: { marks: mark },
  })),
];
