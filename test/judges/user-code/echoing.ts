import { Workflow, type WorkflowOutput, type WorkflowTask } from "ajet";

/** Returns what its task says, to be judged. */
export class Echoing extends Workflow {
  async execute({ task }: WorkflowTask): Promise<WorkflowOutput> {
    return { reward: null, metadata: (task.metadata as { echo: Record<string, unknown> }).echo };
  }
}
