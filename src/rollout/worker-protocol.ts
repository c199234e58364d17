import type { MessagePort } from "node:worker_threads";
import type { EpisodeTrace, JudgedEpisode, Judgement, LlmQuestion } from "../agent/judge.js";
import type { WorkflowTask } from "../agent/task.js";
import type { PythonResult } from "../agent/tools.js";
import type { WorkflowOutput } from "../agent/workflow.js";
import type { EpisodeFailure, EpisodeScore } from "./episode.js";
import type { EpisodeEndpoints } from "./episode-tuner.js";
import type { UserClass } from "./user-code.js";

/** What a worker thread starts with. */
export interface WorkerSetup {
  port: MessagePort;
  /** Of the thread's `ThreadMarks`. */
  marks: SharedArrayBuffer;
  workflow: UserClass;
  judge: UserClass | null;
  /** The run's configuration, for `tuner.config`. */
  config: Record<string, unknown>;
}

/** What a worker has the main thread do. */
export type ServiceCall =
  | { name: "python"; code: string; timeoutMs: number | undefined }
  | { name: "llm"; question: LlmQuestion };

export type ServiceAnswer = { value: PythonResult | string } | { error: string };

/** From the pool. A slot is the number of a run of an episode, from 1. */
export type ToWorker =
  | { type: "run"; slot: number; workflowTask: WorkflowTask; endpoints: EpisodeEndpoints }
  | { type: "trace"; slot: number; trace: EpisodeTrace }
  | { type: "judge-group"; slot: number; episodes: readonly JudgedEpisode[] }
  | { type: "abort"; slot: number; message: string }
  | { type: "answer"; call: number; answer: ServiceAnswer };

export type FromWorker =
  | { type: "ready" }
  | { type: "load-failed"; message: string }
  | { type: "scored"; slot: number; score: EpisodeScore; unrepeatable: string[] }
  /** The judge wants the group's other episodes, too. */
  | { type: "unjudged"; slot: number; output: WorkflowOutput; unrepeatable: string[] }
  /** The workflow is done; the judge waits for the trace. */
  | { type: "judging"; slot: number }
  | { type: "judged"; slot: number; judgements: Judgement[]; unrepeatable: string[] }
  | { type: "failed"; slot: number; failure: EpisodeFailure; unrepeatable: string[] }
  | { type: "call"; call: number; service: ServiceCall }
  /** An error that nobody caught, after its episode's end. */
  | { type: "stray"; message: string };
