import { Judge, type Judgement, type WorkflowOutput, type WorkflowTask } from "ajet";

/** Judges well or badly, as the answer says. */
export class Judging extends Judge {
  computeReward(_task: WorkflowTask, output: WorkflowOutput): Judgement {
    switch (output.metadata.final_answer) {
      case "right":
        return { reward: 1, isSuccess: true, reason: "because" };
      case "NaN":
        return { reward: Number.NaN, isSuccess: true };
      case "loop":
        for (;;);
      case "nothing":
        return undefined as never;
      default:
        throw new Error("no answer to judge");
    }
  }
}
