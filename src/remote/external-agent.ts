import type { WorkflowTask } from "../agent/task.js";
import type { Tuner } from "../agent/tuner.js";
import { Workflow, type WorkflowOutput } from "../agent/workflow.js";

/** What the episode API says of an episode that has ended. */
interface OutcomeBody {
  status: "open" | "ended" | "aborted";
  output?: {
    reward: number | null;
    is_success?: boolean;
    metadata: Record<string, unknown>;
    log_metrics: Record<string, number>;
  };
  reason?: string;
}

/**
 * The workflow of agents that run elsewhere: `user_workflow: ajet->ExternalAgent`. It offers its episode by the episode
 * API and returns what the agent that takes it sends back. `workflow_args.share_metadata: true` shows agents the task's
 * metadata; the reference answer is usually there, so it stays here otherwise.
 */
export class ExternalAgent extends Workflow {
  async execute(workflowTask: WorkflowTask, tuner: Tuner, signal: AbortSignal): Promise<WorkflowOutput> {
    const { rollout } = tuner.config as { rollout?: { trainable_targets?: unknown } };
    if (rollout?.trainable_targets != null) {
      throw new Error("`rollout.trainable_targets` has no meaning for ajet->ExternalAgent: what it calls is trained");
    }
    const { baseUrl, apiKey } = tuner.asOaiBaseurlApikey();
    const body = JSON.stringify(this.describe(workflowTask, tuner));
    for (;;) {
      const response = await tuner.fetch(`${baseUrl}/episodes/offer`, {
        method: "POST",
        headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
        body,
        signal,
      });
      if (!response.ok) throw new Error(`Offering the episode failed: ${response.status} ${await response.text()}`);
      const { status, output, reason } = (await response.json()) as OutcomeBody;
      if (status === "aborted") throw new Error(`The agent aborted the episode: ${reason}`);
      if (status === "ended" && output !== undefined) {
        const { reward, is_success, metadata, log_metrics } = output;
        return {
          ...{ reward, metadata, logMetrics: log_metrics },
          ...(is_success === undefined ? {} : { isSuccess: is_success }),
        };
      }
    }
  }

  private describe({ task, episodeUuid, sample, step, mode }: WorkflowTask, tuner: Tuner): object {
    const { taskId, mainQuery, initMessages, metadata } = task;
    const { rollout } = tuner.config as { rollout?: { episode_timeout_s?: number } };
    const shown = this.args["share_metadata"] === true ? metadata : {};
    return {
      episode_id: episodeUuid,
      task: { task_id: taskId, main_query: mainQuery, init_messages: initMessages, metadata: shown },
      ...{ sample, step, mode },
      timeout_s: rollout?.episode_timeout_s ?? null,
    };
  }
}
