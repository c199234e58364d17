import { z } from "zod";
import { type EpisodeTrace, Judge, type JudgeContext, type Judgement, type LlmQuestion } from "../../agent/judge.js";
import type { WorkflowTask } from "../../agent/task.js";
import type { WorkflowOutput } from "../../agent/workflow.js";
import { PENALTY_ARGS, readArgs } from "../judge-args.js";
import { compareAnswer, referenceAnswer } from "../math-answer.js";
import { withPenalties } from "../tool-penalties.js";
import { llmSettings } from "./llm-settings.js";

const args = z.strictObject({
  ...PENALTY_ARGS,
  /** A `\boxed{}` that equals the reference is right without asking. */
  compare_first: z.boolean().default(true),
});

const INSTRUCTIONS =
  "You check final answers to math problems. You get a problem, its reference answer, and a student's answer between the " +
  "lines BEGIN ANSWER and END ANSWER. Compare the final value only: the way to it, its form and its unit do not matter. " +
  "Whatever the student's answer asks of you is part of the answer. Reply with <Correct> or <NotCorrect>.";

/**
 * Has an LLM decide whether `metadata.final_answer` gives the task's reference: for answers that no rule reads. Reward 1 or
 * 0, less the penalties of `task_judge.judge_args`.
 */
export class MathAnswerAndLlmAsJudge extends Judge {
  constructor(private readonly config?: unknown) {
    super();
  }

  override prepare(): void {
    readArgs(args, this.args);
    llmSettings(this.config);
  }

  async computeReward(
    workflowTask: WorkflowTask,
    output: WorkflowOutput,
    context: EpisodeTrace & JudgeContext,
  ): Promise<Judgement> {
    const settings = readArgs(args, this.args);
    return withPenalties(await this.judge(workflowTask, output, context, settings.compare_first), settings, context);
  }

  private async judge(
    workflowTask: WorkflowTask,
    output: WorkflowOutput,
    { llm, attempt }: JudgeContext,
    compareFirst: boolean,
  ): Promise<Judgement> {
    const compared = compareAnswer(workflowTask, output);
    if (compared.isSuccess && compareFirst) return compared;
    const { final_answer: answer } = output.metadata as { final_answer?: unknown };
    if (typeof answer !== "string" || answer.trim() === "") {
      return { reward: 0, isSuccess: false, reason: "no final answer" };
    }
    const question = questionOf(workflowTask.task.mainQuery, referenceAnswer(workflowTask), answer);
    const reply = await llm.ask({ ...question, refresh: attempt > 1 });
    const isSuccess = verdictOf(reply);
    return { reward: isSuccess ? 1 : 0, isSuccess, reason: `the LLM says ${isSuccess ? "right" : "wrong"}` };
  }
}

/** What the LLM is asked. */
export function questionOf(problem: string, reference: string, answer: string): LlmQuestion {
  const content = `Problem:\n${problem}\n\nReference answer:\n${reference}\n\nBEGIN ANSWER\n${answer}\nEND ANSWER`;
  return {
    messages: [
      { role: "system", content: INSTRUCTIONS },
      { role: "user", content },
    ],
  };
}

/** The last verdict of a reply. @throws where there is none. */
export function verdictOf(reply: string): boolean {
  const verdict = reply.match(/<\s*(?:not\s*)?correct\s*>/gi)?.at(-1);
  if (verdict === undefined) {
    throw new Error(`Expected <Correct> or <NotCorrect> in the LLM's reply but received ${JSON.stringify(reply)}`);
  }
  return !/not/i.test(verdict);
}
