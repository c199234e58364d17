import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { NOWHERE, positionOf, type TrackerName } from "../../../src/report/loggers/contract.js";
import { type LoggerOptions, RunLoggers } from "../../../src/report/loggers/run-loggers.js";
import { evaluationLine, OPTIONS, stepLine } from "./lines.js";

/** Resolves when a condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** A run's folder and its files, as the training loop writes them, and its loggers. */
export class LoggedRun {
  readonly folder = mkdtempSync(join(tmpdir(), "ajet-loggers-"));
  readonly notes: string[] = [];
  readonly warnings: string[] = [];
  readonly metricsFile = join(this.folder, "metrics.jsonl");
  readonly validationFile = join(this.folder, "validation.jsonl");

  constructor() {
    for (const file of [this.metricsFile, this.validationFile]) writeFileSync(file, "");
    onTestFinished(() => rmSync(this.folder, { recursive: true, force: true }));
  }

  /** @param lastStep Of the checkpoint that a resumed run goes on from. */
  open(names: TrackerName[], options: Partial<LoggerOptions> = {}, lastStep?: number): RunLoggers {
    const config = {
      trainer_common: { optim: { lr: 1e-6 }, logger: names },
      task_judge: { args: { api_key: "sk-1" } },
    };
    const keepUpTo = lastStep === undefined ? NOWHERE : positionOf({ kind: "evaluation", step: lastStep });
    return new RunLoggers({
      names,
      options: { ...OPTIONS, ...options },
      run: { project: "ajet test", name: "a run", folder: this.folder, config, keepUpTo },
      metricsFile: this.metricsFile,
      validationFile: this.validationFile,
      onNote: (text) => this.notes.push(text),
      onWarning: (text) => this.warnings.push(text),
    });
  }

  step(loggers: RunLoggers, step: number): void {
    appendFileSync(this.metricsFile, `${JSON.stringify(stepLine(step))}\n`);
    loggers.log("step", stepLine(step));
  }

  evaluation(loggers: RunLoggers, step: number): void {
    appendFileSync(this.validationFile, `${JSON.stringify(evaluationLine(step))}\n`);
    loggers.log("evaluation", evaluationLine(step));
  }

  /** As the training loop does on --resume. */
  cutBack(lastStep: number): void {
    const steps = Array.from({ length: lastStep }, (_, i) => `${JSON.stringify(stepLine(i + 1))}\n`);
    writeFileSync(this.metricsFile, steps.join(""));
  }
}
