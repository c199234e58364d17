import { join } from "node:path";
import type { Outcome, TrackedRun, Tracker, TrackerName } from "./contract.js";
import { withoutSecrets } from "./flat-config.js";
import { Mlflow } from "./mlflow/mlflow.js";
import { PythonTracker } from "./python/python-tracker.js";
import { recordOf, recordsBetween } from "./run-records.js";
import { TensorBoard } from "./tensorboard/tensorboard.js";
import { TrackerQueue } from "./tracker-queue.js";

/** `trainer_common.logger_options`. */
export interface LoggerOptions {
  python: string | null;
  close_timeout_s: number;
  tensorboard: { dir: string | null };
  swanlab: { mode: string | null; host: string | null; workspace: string | null };
  wandb: { mode: string | null; host: string | null; entity: string | null };
  mlflow: { tracking_uri: string | null };
}

/** What {@link RunLoggers} is opened with. */
export interface RunLoggersOptions {
  names: readonly TrackerName[];
  options: LoggerOptions;
  run: TrackedRun;
  metricsFile: string;
  validationFile: string;
  onNote(text: string): void;
  onWarning(text: string): void;
}

const DEFAULT_MLFLOW = "http://127.0.0.1:5000";

/** A run's trackers. None of them can stop the run, or hold it up beyond `close_timeout_s` at its end. */
export class RunLoggers {
  readonly #queues: TrackerQueue[];
  readonly #closeMs: number;

  constructor({ names, options, run, metricsFile, validationFile, onNote, onWarning }: RunLoggersOptions) {
    const tracked = { ...run, config: withoutSecrets(run.config) as TrackedRun["config"] };
    const files = { step: metricsFile, evaluation: validationFile };
    const earlier = (after: number) => recordsBetween(files, after, run.keepUpTo);
    this.#closeMs = options.close_timeout_s * 1000;
    this.#queues = names.flatMap((name) => {
      try {
        return [new TrackerQueue(openTracker(name, tracked, options), { name, earlier, onNote, onWarning })];
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        onWarning(`logger ${name} is off: ${reason}. metrics.jsonl has every step`);
        return [];
      }
    });
  }

  /** A line of metrics.jsonl or validation.jsonl. */
  log(kind: "step" | "evaluation", line: Readonly<Record<string, unknown>>): void {
    const record = recordOf(kind, line);
    for (const queue of this.#queues) queue.add(record);
  }

  /** Resolves when every tracker has everything, or gave up. */
  async close(outcome: Outcome): Promise<void> {
    await Promise.all(this.#queues.map((queue) => queue.close(outcome, this.#closeMs)));
  }
}

function openTracker(name: TrackerName, run: TrackedRun, options: LoggerOptions): Tracker {
  const { tensorboard, swanlab, wandb, mlflow } = options;
  const python = { python: options.python ?? "python3", limit: options.close_timeout_s };
  switch (name) {
    case "tensorboard":
      return new TensorBoard(run, tensorboard.dir === null ? join(run.folder, name) : join(tensorboard.dir, run.name));
    case "swanlab":
      return new PythonTracker(name, run, { ...python, ...swanlab });
    case "wandb":
      return new PythonTracker(name, run, { ...python, mode: wandb.mode, host: wandb.host, workspace: wandb.entity });
    case "mlflow":
      return new Mlflow(run, mlflow.tracking_uri ?? process.env["MLFLOW_TRACKING_URI"] ?? DEFAULT_MLFLOW);
  }
}
