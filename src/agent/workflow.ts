import type { WorkflowTask } from "./task.js";
import type { Tuner } from "./tuner.js";

/** What an episode hands to the judge. */
export interface WorkflowOutput {
  /** A finite number, or `null` to let the judge decide. */
  reward: number | null;
  isSuccess?: boolean;
  /** What the judge needs, e.g. `{ final_answer }`. */
  metadata: Record<string, unknown>;
  /** Numbers that are averaged over the step's episodes and logged as `workflow/<name>`. */
  logMetrics?: Record<string, number>;
}

/** The user's agent: one fresh instance per episode. */
export abstract class Workflow {
  /** `rollout.workflow_args` of the YAML, a copy for each instance. Set once the constructor has returned. */
  readonly args: Readonly<Record<string, unknown>> = {};

  /** Runs one episode. `signal` aborts at the episode's time limit. */
  abstract execute(workflowTask: WorkflowTask, tuner: Tuner, signal: AbortSignal): Promise<WorkflowOutput>;
}
