import {
  MathAnswerAsJudge as BoxedAnswerJudge,
  type EpisodeTrace,
  type JudgeContext,
  type Judgement,
  MathAnswerAndLlmAsJudge as LlmAnswerJudge,
  type WorkflowOutput,
  type WorkflowTask,
} from "ajet";

/**
 * Reward 1 where the number in the last `\boxed{}` is the task's, else 0, less the penalties of `task_judge.judge_args`:
 * `malformed_tool_call_penalty` and `missing_print_penalty`. This is the place for what else should count.
 */
export class MathAnswerAsJudge extends BoxedAnswerJudge {
  override computeReward(workflowTask: WorkflowTask, output: WorkflowOutput, trace: EpisodeTrace): Judgement {
    return super.computeReward(workflowTask, output, trace);
  }
}

/** The same, but an LLM decides where the `\boxed{}` does not: it needs `task_judge.alien_llm_model` and a key. */
export class MathAnswerAndLlmAsJudge extends LlmAnswerJudge {
  override computeReward(
    workflowTask: WorkflowTask,
    output: WorkflowOutput,
    context: EpisodeTrace & JudgeContext,
  ): Promise<Judgement> {
    return super.computeReward(workflowTask, output, context);
  }
}
