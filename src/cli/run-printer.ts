import { ProgressBar } from "../report/progress-bar.js";
import { evaluationLine, stepLine } from "../report/step-line.js";
import type { EpisodeResult } from "../rollout/episode.js";
import type { FetchProgress } from "../tasks/hub/dataset-files.js";
import { EpisodeReport } from "../train/episode-report.js";
import type { EvaluationResult } from "../train/evaluation.js";
import type { RunListener, RunStart } from "../train/run-listener.js";
import type { StepMetrics } from "../train/step-metrics.js";
import { FetchPrinter } from "./fetch-printer.js";
import type { Output } from "./output.js";

/** Lines of each list that is printed at the end. */
const MOST_LINES = 10;

/** Prints a run as it goes on. */
export class RunPrinter implements RunListener, Disposable {
  readonly #output: Output;
  /** Whether each step gets a line. */
  readonly #stepLines: boolean;
  readonly #report = new EpisodeReport();
  readonly #fetching: FetchPrinter;
  #bar: ProgressBar | undefined;
  #done = 0;
  #dropped = 0;
  #timeLeft = "";

  constructor(output: Output, stepLines: boolean) {
    this.#output = output;
    this.#fetching = new FetchPrinter(output);
    this.#stepLines = stepLines;
  }

  onFetch(progress: FetchProgress): void {
    this.#fetching.onFetch(progress);
  }

  onStart({ device, isolation, trainingTasks, firstStep, totalSteps, metricsUrl }: RunStart): void {
    const steps = firstStep > totalSteps ? `all ${totalSteps} steps done` : `steps ${firstStep} to ${totalSteps}`;
    this.#output.line(`${device}; Python tool: ${isolation}; ${trainingTasks} tasks, ${steps}`);
    this.#output.note(`live metrics for Prometheus: ${metricsUrl}`);
  }

  onPhase(phase: string, episodes: number): void {
    this.#bar?.stop();
    this.#done = 0;
    this.#bar = new ProgressBar(phase, episodes, this.#output.interactive);
  }

  onEpisode(result: EpisodeResult): void {
    this.#bar?.update(++this.#done, this.#timeLeft);
    const repeated = this.#report.unrepeatable === undefined;
    this.#report.add(result);
    if (repeated && this.#report.unrepeatable !== undefined) {
      this.#output.note(`note: this run no longer repeats to the last bit: ${this.#report.unrepeatable}`);
    }
    // The first one at once, so that a broken workflow shows; the others at the end, by cause.
    if (result.error && ++this.#dropped === 1) {
      const { kind, message, stack } = result.error;
      this.#output.note(
        `dropped an episode of task ${result.task.taskId} (${kind}): ${(this.#output.verbose && stack) || message}`,
      );
    }
  }

  onEvaluation(moment: string, result: EvaluationResult): void {
    this.#bar?.stop();
    this.#output.line(evaluationLine(moment, result));
    this.#output.result({ evaluation: moment, ...result });
  }

  onStep(metrics: StepMetrics, totalSteps: number): void {
    this.#bar?.stop();
    const secondsLeft = (metrics["timing_s/step"] ?? 0) * (totalSteps - metrics.step);
    this.#timeLeft = `about ${duration(secondsLeft)} of training left`;
    if (this.#stepLines) this.#output.line(stepLine(metrics, totalSteps));
    this.#output.result(metrics);
  }

  onCheckpoint(folder: string): void {
    this.#output.note(`checkpoint ${folder}`);
  }

  onNote(text: string): void {
    this.#output.note(`note: ${text}`);
  }

  onWarning(text: string): void {
    this.#output.note(`warning: ${text}`);
  }

  /** Ends the bar, and tells what failed and why, and which messages were not written back as they were returned. */
  [Symbol.dispose](): void {
    this.#fetching[Symbol.dispose]();
    this.#bar?.stop();
    this.#list("prompts that left the recorded tokens, by the message that differs:", this.#report.forks());
    this.#list(`failed episodes, by cause (${this.#dropped} dropped):`, this.#report.failures());
  }

  #list(title: string, lines: readonly string[]): void {
    if (lines.length === 0) return;
    this.#output.note(title);
    for (const line of lines.slice(0, MOST_LINES)) this.#output.note(`  ${line}`);
    if (lines.length > MOST_LINES) this.#output.note(`  and ${lines.length - MOST_LINES} more`);
  }
}

function duration(seconds: number): string {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
