import type { WorkflowTask } from "./task.js";
import type { WorkflowOutput } from "./workflow.js";

export interface Judgement {
  /** Finite. */
  reward: number;
  isSuccess: boolean;
  /** Why, for the token log. */
  reason?: string;
}

/** Scores one finished episode. */
export abstract class Judge {
  abstract computeReward(workflowTask: WorkflowTask, output: WorkflowOutput): Judgement | Promise<Judgement>;
}
