import { loggerNames } from "../config/loggers.js";
import { AbortError } from "../native/errors.js";
import { JsonlLog } from "../report/jsonl-log.js";
import { NOWHERE, type Outcome, positionOf, TRACKERS } from "../report/loggers/contract.js";
import { RunLoggers } from "../report/loggers/run-loggers.js";
import type { RunningServer } from "../serve/contract.js";
import type { RunState } from "./run-state.js";
import type { StepMetrics } from "./step-metrics.js";
import type { LoopOptions } from "./training-loop.js";

/** Everywhere that a run's metrics go: metrics.jsonl, validation.jsonl, the loggers of the configuration, Prometheus. */
export class MetricStreams {
  readonly #metrics: JsonlLog;
  readonly #validation: JsonlLog;
  readonly #loggers: RunLoggers;
  readonly #server: RunningServer;

  /** Cuts the files back to the state's step. */
  constructor({ config, folder, listener }: LoopOptions, { step, before }: RunState, server: RunningServer) {
    // Evaluated before training and killed before the first checkpoint: it is evaluated again.
    const isNew = step === 0 && before === undefined;
    this.#metrics = new JsonlLog(folder.metricsFile, step);
    this.#validation = new JsonlLog(folder.validationFile, isNew ? -1 : step);
    this.#server = server;
    const chosen = loggerNames(config);
    this.#loggers = new RunLoggers({
      names: TRACKERS.filter((name) => chosen.includes(name)),
      options: config.trainer_common.logger_options,
      run: {
        project: config.project_name,
        name: folder.name,
        folder: folder.path,
        config,
        keepUpTo: isNew ? NOWHERE : positionOf({ kind: "evaluation", step }),
      },
      metricsFile: folder.metricsFile,
      validationFile: folder.validationFile,
      onNote: (text) => listener?.onNote?.(text),
      onWarning: (text) => listener?.onWarning?.(text),
    });
  }

  step(metrics: StepMetrics): void {
    this.#metrics.append(metrics);
    this.#loggers.log("step", metrics);
    this.#server.publishMetrics(metrics);
  }

  evaluation(line: { step: number } & Record<string, number>): void {
    const { step, ...metrics } = line;
    this.#validation.append(line);
    this.#loggers.log("evaluation", line);
    this.#server.publishMetrics(metrics);
  }

  /** Waits for the loggers, as long as the configuration lets them take. */
  async close(outcome: Outcome): Promise<void> {
    this.#metrics.close();
    this.#validation.close();
    await this.#loggers.close(outcome);
  }
}

/** What an error that ended a run says of it. */
export function outcomeOf(error: unknown): Outcome {
  return error instanceof AbortError ? "stopped" : "failed";
}
