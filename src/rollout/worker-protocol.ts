import type { MessagePort } from "node:worker_threads";
import type { WorkflowTask } from "../agent/task.js";
import type { PythonResult } from "../agent/tools.js";
import type { EpisodeFailure, EpisodeScore } from "./episode.js";
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

/** From the pool. A slot is the number of a run of an episode, from 1. */
export type ToWorker =
  | { type: "run"; slot: number; workflowTask: WorkflowTask; baseUrl: string; apiKey: string }
  | { type: "abort"; slot: number; message: string }
  | { type: "python"; call: number; result?: PythonResult; error?: string };

export type FromWorker =
  | { type: "ready" }
  | { type: "load-failed"; message: string }
  | { type: "scored"; slot: number; score: EpisodeScore; unrepeatable: string[] }
  | { type: "failed"; slot: number; failure: EpisodeFailure; unrepeatable: string[] }
  | { type: "python"; call: number; code: string; timeoutMs: number | undefined }
  /** An error that nobody caught, after its episode's end. */
  | { type: "stray"; message: string };
