import { type EpisodeTrace, Judge, type Judgement } from "../agent/judge.js";
import type { WorkflowTask } from "../agent/task.js";
import type { WorkflowOutput } from "../agent/workflow.js";
import { ConfigError } from "../native/errors.js";
import { penaltyArgs, readArgs } from "./judge-args.js";
import { parseNumber, plainText } from "./number-value.js";
import { withPenalties } from "./tool-penalties.js";

/**
 * Reward 1 where the last `\boxed{…}` of `metadata.final_answer` equals the task's reference, else 0; less the penalties of
 * `task_judge.judge_args`. The reference is `metadata.answer` of the task, from its last `####` on where there is one (GSM8K).
 */
export class MathAnswerAsJudge extends Judge {
  override prepare(): void {
    readArgs(penaltyArgs, this.args);
  }

  computeReward(workflowTask: WorkflowTask, output: WorkflowOutput, trace?: EpisodeTrace): Judgement {
    return withPenalties(compareAnswer(workflowTask, output), readArgs(penaltyArgs, this.args), trace);
  }
}

/** Compares the last `\boxed{…}` of the final answer with the reference. */
export function compareAnswer(workflowTask: WorkflowTask, output: WorkflowOutput): Judgement {
  const reference = referenceAnswer(workflowTask);
  const { final_answer: finalAnswer } = output.metadata as { final_answer?: unknown };
  const answer = typeof finalAnswer === "string" ? lastBoxed(finalAnswer) : undefined;
  if (answer === undefined) return { reward: 0, isSuccess: false, reason: "no \\boxed{} in the final answer" };
  if (answersEqual(answer, reference)) return { reward: 1, isSuccess: true, reason: `${answer} is right` };
  return { reward: 0, isSuccess: false, reason: `${answer} is not ${reference}` };
}

/** The reference of a task. @throws ConfigError where it has none. */
export function referenceAnswer(workflowTask: WorkflowTask): string {
  const { answer } = workflowTask.task.metadata as { answer?: unknown };
  const text = typeof answer === "number" ? String(answer) : answer;
  if (typeof text !== "string" || text.trim() === "") {
    throw new ConfigError(
      `Expected a reference under \`answer\` in the metadata of task ${workflowTask.task.taskId} ` +
        `but received ${JSON.stringify(answer)}`,
    );
  }
  return text
    .slice(text.lastIndexOf("####") + 1)
    .replace(/^#*/, "")
    .trim();
}

/** What the last complete `\boxed{…}` holds; braces nest. */
export function lastBoxed(text: string): string | undefined {
  for (let end = text.length; ; ) {
    const start = text.lastIndexOf("\\boxed", end);
    if (start < 0) return undefined;
    const content = bracedContent(text, start + "\\boxed".length);
    if (content !== undefined) return content.trim();
    if (start === 0) return undefined;
    end = start - 1;
  }
}

/** What stands between the brace at `from` (spaces before it are skipped) and the one that closes it. */
function bracedContent(text: string, from: number): string | undefined {
  let open = from;
  while (text[open] === " ") open++;
  if (text[open] !== "{") return undefined;
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === "\\")
      i++; // an escaped brace is text
    else if (text[i] === "{") depth++;
    else if (text[i] === "}" && --depth === 0) return text.slice(open + 1, i);
  }
  return undefined;
}

/** Numbers are compared as numbers, everything else as text without spaces. */
export function answersEqual(answer: string, reference: string): boolean {
  const [left, right] = [answer, reference].map((text) => parseNumber(rightHandSide(text)));
  if (left && right) return left.numerator === right.numerator && left.denominator === right.denominator;
  return textOf(answer) === textOf(reference);
}

/** `x = 5` means 5. */
function rightHandSide(text: string): string {
  const [left = "", right, ...more] = text.split("=");
  return right !== undefined && more.length === 0 && /[a-z]/i.test(left) ? right : text;
}

function textOf(text: string): string {
  return plainText(text).replaceAll(" ", "").toLowerCase();
}
