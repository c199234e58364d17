import type { EpisodeTrace, Judge } from "../agent/judge.js";
import type { WorkflowTask } from "../agent/task.js";
import type { Tuner } from "../agent/tuner.js";
import type { Workflow, WorkflowOutput } from "../agent/workflow.js";
import type { EpisodeScore } from "./episode.js";
import { blame, describeThrown, EpisodeError, isRecord } from "./episode-error.js";
import { type JudgeSetup, judgeEpisode, SUCCESS_REWARD } from "./run-judge.js";
import type { UserFactory } from "./user-code.js";

/** The user's classes, loaded. */
export interface UserClasses {
  workflow: UserFactory<Workflow>;
  judge?: UserFactory<Judge>;
  /** The judge wants a task's episodes together. */
  judgesGroups?: boolean;
}

/** What the judging of an episode takes. */
export interface EpisodeJudging extends JudgeSetup {
  /** To be called when the workflow is done: gives what was said in the episode. */
  begin(): Promise<EpisodeTrace>;
}

/** How an episode ended: with its score, or ready to be judged with the others of its group. */
export type WorkflowEnd = { kind: "scored"; score: EpisodeScore } | { kind: "unjudged"; output: WorkflowOutput };

/** Runs one episode with instances of its own. @throws EpisodeError */
export async function runWorkflow(
  classes: UserClasses,
  workflowTask: WorkflowTask,
  tuner: Tuner,
  signal: AbortSignal,
  judging: EpisodeJudging,
): Promise<WorkflowEnd> {
  const output = await blame("workflow", "The workflow", async () =>
    checkOutput(await classes.workflow(tuner.config).execute(workflowTask, tuner, signal)),
  );
  signal.throwIfAborted();
  const { reward, isSuccess, metadata, logMetrics = {} } = output;
  if (reward !== null) {
    const score = { reward, isSuccess: isSuccess ?? reward >= SUCCESS_REWARD, metadata, logMetrics };
    return { kind: "scored", score };
  }
  const { judge, judgesGroups } = classes;
  if (!judge) {
    throw new EpisodeError(
      "judge",
      "The workflow returned the reward `null`, and `task_judge.judge_protocol` names no judge",
    );
  }
  if (judgesGroups) return { kind: "unjudged", output };
  const episode = { workflowTask, output, ...(await judging.begin()) };
  const judgement = await judgeEpisode(judge, episode, judging, signal);
  return { kind: "scored", score: { ...judgement, metadata, logMetrics } };
}

function checkOutput(output: unknown): WorkflowOutput {
  if (!isRecord(output)) {
    throw new EpisodeError(
      "workflow",
      `Expected { reward, metadata } from the workflow but received ${describeThrown(output)}`,
    );
  }
  const { reward = null, isSuccess, metadata = {}, logMetrics = {} } = output as Partial<WorkflowOutput>;
  if (reward !== null && !Number.isFinite(reward)) throw invalid("a finite number or null", "reward", reward);
  if (isSuccess !== undefined && typeof isSuccess !== "boolean") throw invalid("a boolean", "isSuccess", isSuccess);
  if (!isRecord(metadata)) throw invalid("an object", "metadata", metadata);
  if (!isRecord(logMetrics)) throw invalid("an object of numbers", "logMetrics", logMetrics);
  for (const [name, value] of Object.entries(logMetrics)) {
    if (!Number.isFinite(value)) throw invalid("a finite number", `logMetrics.${name}`, value);
  }
  for (const [name, value] of Object.entries(metadata)) {
    try {
      structuredClone(value);
    } catch {
      throw invalid("plain data", `metadata.${name}`, typeof value);
    }
  }
  return { reward, metadata, logMetrics, ...(isSuccess === undefined ? {} : { isSuccess }) };
}

function invalid(expected: string, name: string, received: unknown): EpisodeError {
  const shown = typeof received === "number" ? String(received) : describeThrown(received);
  return new EpisodeError(
    "workflow",
    `Expected ${expected} for \`${name}\` of the workflow's output but received ${shown}`,
  );
}
