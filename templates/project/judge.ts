import { answersEqual, Judge, type Judgement, lastBoxed, type WorkflowOutput, type WorkflowTask } from "ajet";

/** Reward 1 where the number in the last `\boxed{}` is the task's answer, else 0. */
export class AnswerJudge extends Judge {
  computeReward({ task }: WorkflowTask, { metadata }: WorkflowOutput): Judgement {
    const answer = lastBoxed(String(metadata["final_answer"] ?? ""));
    const isSuccess = answer !== undefined && answersEqual(answer, String(task.metadata["answer"]));
    return { reward: isSuccess ? 1 : 0, isSuccess, reason: answer === undefined ? "no \\boxed{}" : `answer ${answer}` };
  }
}
