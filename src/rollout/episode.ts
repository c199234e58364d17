import type { EpisodeTrace, JudgedEpisode, Judgement } from "../agent/judge.js";
import type { Task, WorkflowTask } from "../agent/task.js";
import type { WorkflowOutput } from "../agent/workflow.js";
import type { PromptFork } from "../serve/contract.js";
import type { AgentRoutes } from "./agent-routes.js";
import type { CallRecord, DropReason } from "./call-record.js";
import type { MadnessCheck } from "./madness.js";

/** One episode to run. */
export interface EpisodeRequest {
  task: Task;
  /** Which of the task's episodes, from 0. */
  sample: number;
}

/** What made an episode fail. */
export type FailureKind =
  /** The workflow threw or returned something unusable. */
  | "workflow"
  | "judge"
  /** It ran past its time limit. */
  | "timeout"
  /** It did not give its thread back. */
  | "stalled"
  /** It ended its thread, or used up the thread's memory. */
  | "exited";

export interface EpisodeFailure {
  kind: FailureKind;
  message: string;
  /** Where, in the user's code. */
  stack?: string;
}

/** What workflow and judge made of an episode. */
export interface EpisodeScore {
  /** Finite. */
  reward: number;
  isSuccess: boolean;
  metadata: Record<string, unknown>;
  logMetrics: Record<string, number>;
  /** The judge's, for the token log. */
  reason?: string;
  parts?: Readonly<Record<string, number>>;
  /** Which check of `rollout.compute_madness_checklist` found something. */
  madness?: MadnessCheck;
}

/** An episode on its way to an executor. */
export interface EpisodeJob {
  workflowTask: WorkflowTask;
  baseUrl: string;
  apiKey: string;
  /** Absent: all agents are trained. */
  routes?: AgentRoutes | undefined;
  /** Run it in a thread of its own. */
  alone: boolean;
  /** Called when a thread has it: its time counts from here on. */
  onStart?: () => void;
  /** Called when the workflow is done and its judge is about to start: gives what was said in the episode. */
  beginJudging?: () => EpisodeTrace;
}

/** A task's episodes on their way to a judge that wants them together. */
export interface GroupJob {
  episodes: readonly JudgedEpisode[];
  alone: boolean;
  /** As an episode's. */
  onStart?: () => void;
}

export interface JobFailure {
  kind: "failed";
  failure: EpisodeFailure;
  unrepeatable: string[];
}

/** How the judging of a group ended. */
export type GroupOutcome =
  | { kind: "judged"; judgements: Judgement[]; unrepeatable: string[] }
  | JobFailure
  | { kind: "interrupted"; alone: boolean };

/** How a run of an episode ended. */
export type EpisodeOutcome =
  | { kind: "scored"; score: EpisodeScore; unrepeatable: string[] }
  /** Its judge wants the group's other episodes, too. */
  | { kind: "unjudged"; output: WorkflowOutput; unrepeatable: string[] }
  | JobFailure
  /** Another episode took the thread down: run it again, `alone` where it may have been this one. */
  | { kind: "interrupted"; alone: boolean };

/** Runs workflow and judge of episodes, many at a time. */
export interface EpisodeExecutor {
  /** Loads the user's code. @throws ConfigError where it does not load. */
  start(): Promise<void>;
  /** Never rejects for what the user's code does. Aborting `signal` ends the episode as failed. */
  execute(job: EpisodeJob, signal: AbortSignal): Promise<EpisodeOutcome>;
  /** As `execute`, for the judging of a group. */
  judgeGroup(job: GroupJob, signal: AbortSignal): Promise<GroupOutcome>;
  dispose(): Promise<void>;
}

/** A call that cannot be trained, and why. */
export interface DroppedCall {
  call: CallRecord;
  reason: DropReason;
}

/** One episode, run, recorded and scored; or dropped with `error`. */
export interface EpisodeResult extends EpisodeScore {
  uuid: string;
  task: Task;
  sample: number;
  /** Calls of the attempt that counted, in an order that does not depend on timing; none where `error` is set. */
  calls: CallRecord[];
  /** Where its prompts left the recorded tokens, by message and field. */
  forks: PromptFork[];
  /** Calls of attempts that did not count. */
  droppedCalls: DroppedCall[];
  attempts: number;
  /** Why it was dropped: reward is 0 then, and means nothing. */
  error?: EpisodeFailure;
  /** Failures of attempts before the last. */
  retried: EpisodeFailure[];
  /** What depended on the clock, so that another run may differ. */
  unrepeatable: string[];
  /** Of the attempt that counted. */
  wallMs: number;
}
