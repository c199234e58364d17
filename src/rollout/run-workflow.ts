import type { Judge, Judgement } from "../agent/judge.js";
import type { WorkflowTask } from "../agent/task.js";
import type { Tuner } from "../agent/tuner.js";
import type { Workflow, WorkflowOutput } from "../agent/workflow.js";
import type { EpisodeFailure, EpisodeScore, FailureKind } from "./episode.js";

/** The user's classes, loaded. */
export interface UserClasses {
  workflow: new (config: unknown) => Workflow;
  judge?: new (config: unknown) => Judge;
}

/** Ends an episode: the fault is the workflow's or the judge's. */
export class EpisodeError extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Reward from which a workflow that scores itself counts as a success, unless it says so. */
const SUCCESS_REWARD = 1;

/** Runs one episode with instances of its own. @throws EpisodeError */
export async function runWorkflow(
  classes: UserClasses,
  workflowTask: WorkflowTask,
  tuner: Tuner,
  signal: AbortSignal,
): Promise<EpisodeScore> {
  const output = await blame("workflow", "The workflow", async () =>
    checkOutput(await new classes.workflow(tuner.config).execute(workflowTask, tuner, signal)),
  );
  signal.throwIfAborted();
  const { reward, isSuccess, metadata, logMetrics = {} } = output;
  if (reward !== null) return { reward, isSuccess: isSuccess ?? reward >= SUCCESS_REWARD, metadata, logMetrics };

  const { judge } = classes;
  if (!judge) {
    throw new EpisodeError(
      "judge",
      "The workflow returned the reward `null`, and `task_judge.judge_protocol` names no judge",
    );
  }
  const judgement = await blame("judge", "The judge", async () =>
    checkJudgement(await new judge(tuner.config).computeReward(workflowTask, output)),
  );
  return { ...judgement, metadata, logMetrics };
}

async function blame<T>(kind: FailureKind, who: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof EpisodeError) throw error;
    throw new EpisodeError(kind, `${who} threw ${describeThrown(error)}`, { cause: error });
  }
}

/** For messages: name and text of an error, anything else as JSON. */
export function describeThrown(thrown: unknown): string {
  try {
    return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : (JSON.stringify(thrown) ?? String(thrown));
  } catch {
    return "a value that cannot be shown";
  }
}

/** An error as it crosses threads. */
export function failureOf(error: unknown): EpisodeFailure {
  const kind = error instanceof EpisodeError ? error.kind : "workflow";
  const message = error instanceof EpisodeError ? error.message : `The workflow threw ${describeThrown(error)}`;
  const cause = error instanceof EpisodeError ? error.cause : error;
  const stack = cause instanceof Error && typeof cause.stack === "string" ? cause.stack : undefined;
  return { kind, message, ...(stack === undefined ? {} : { stack }) };
}

function checkOutput(output: unknown): WorkflowOutput {
  if (!isRecord(output)) throw invalid("an object", "output", output);
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

function checkJudgement(judgement: unknown): Judgement {
  const { reward, isSuccess, reason } = (isRecord(judgement) ? judgement : {}) as Partial<Judgement>;
  if (typeof reward !== "number" || !Number.isFinite(reward)) {
    const shown = typeof reward === "number" ? String(reward) : describeThrown(judgement);
    throw new EpisodeError(
      "judge",
      `Expected { reward: a finite number, isSuccess } from the judge but received ${shown}`,
    );
  }
  return {
    reward,
    isSuccess: isSuccess === undefined ? reward >= SUCCESS_REWARD : isSuccess === true,
    ...(typeof reason === "string" ? { reason } : {}),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
