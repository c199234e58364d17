import { MathAnswerAsJudge as BoxedAnswerJudge, type Judgement, type WorkflowOutput, type WorkflowTask } from "ajet";

/**
 * Reward 1 where the number in the last `\boxed{}` is the task's, else 0. This is the place for what else should count:
 * a penalty for a malformed `<tool_call>`, or for code without `print`.
 */
export class MathAnswerAsJudge extends BoxedAnswerJudge {
  override computeReward(workflowTask: WorkflowTask, output: WorkflowOutput): Judgement {
    return super.computeReward(workflowTask, output);
  }
}
