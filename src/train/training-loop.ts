import type { Task } from "../agent/task.js";
import type { AjetConfig } from "../config/schema.js";
import { AbortError, AjetError, NumericError } from "../native/errors.js";
import type { Trainer } from "../native/trainer.js";
import type { LossOptions, TrainStats } from "../native/types.js";
import type { Outcome } from "../report/loggers/contract.js";
import type { EpisodeResult } from "../rollout/episode.js";
import type { TaskOrder } from "../tasks/task-order.js";
import { writeJsonAtomically } from "./atomic-file.js";
import type { Checkpoints } from "./checkpoints.js";
import { CollapseWatch } from "./collapse-watch.js";
import {
  type EvaluationResult,
  type EvaluationTasks,
  evaluate,
  evaluationEpisodes,
  evaluationMetrics,
} from "./evaluation.js";
import { FailureWatch } from "./failure-watch.js";
import { MetricStreams, outcomeOf } from "./metric-streams.js";
import type { RunFolder } from "./run-folder.js";
import type { RunListener } from "./run-listener.js";
import type { RunState } from "./run-state.js";
import type { Session } from "./session.js";
import { addToTotals, type StepOutcome, sharedPrefix, stepMetrics } from "./step-metrics.js";
import { type Summary, summarise } from "./summary.js";
import { openTokenLog, type TokenLog } from "./token-log.js";
import { buildStepBatch, type StepBatch, stepVerdicts } from "./train-batch.js";

/** What stays the same throughout a run. */
export interface RunPlan {
  tasks: readonly Task[];
  order: TaskOrder;
  held: EvaluationTasks;
  loss: LossOptions;
  totalSteps: number;
}

/** What a loop is told of the run around it. */
export interface LoopOptions {
  config: AjetConfig;
  folder: RunFolder;
  signal?: AbortSignal;
  listener?: RunListener;
}

/** Steps of rollout and update with evaluations and checkpoints in between, from the state's step to the last one. */
export class TrainingLoop {
  readonly #metrics: MetricStreams;
  #tokens: TokenLog | undefined;
  readonly #collapse = new CollapseWatch();
  readonly #failures = new FailureWatch();
  readonly #started = performance.now();
  readonly #secondsBefore: number;

  constructor(
    private readonly options: LoopOptions,
    private readonly session: Session,
    private readonly trainer: Trainer,
    private readonly checkpoints: Checkpoints,
    private readonly state: RunState,
    private readonly plan: RunPlan,
  ) {
    this.#metrics = new MetricStreams(options, state, session.server);
    this.#secondsBefore = state.totals.total_seconds;
  }

  /** As {@link runTraining} of training-run.ts. */
  async run(): Promise<Summary> {
    let outcome: Outcome = "finished";
    const { config, folder } = this.options;
    try {
      this.#tokens = await openTokenLog(folder.tokensFolder, this.state.step, config, this.session.tokenizer);
      return await this.#runSteps();
    } catch (error) {
      outcome = outcomeOf(error);
      // The weights are those of the last finished step, whatever was interrupted.
      if (error instanceof AbortError) await this.#save();
      throw error instanceof NumericError ? this.#explain(error) : error;
    } finally {
      this.#tokens?.close();
      await this.#metrics.close(outcome);
    }
  }

  async #runSteps(): Promise<Summary> {
    const { config, folder } = this.options;
    const { val_before_train, test_freq } = config.trainer_common;
    if (this.state.before === undefined && val_before_train) {
      const before = await this.#evaluate("before training");
      if (before) this.state.before = before;
    }
    let latest = this.state.evaluation_due ? await this.#endStep() : undefined;
    while (this.state.step < this.plan.totalSteps) {
      await this.#step(this.state.step + 1);
      this.state.evaluation_due = isDue(this.state.step, test_freq);
      latest = await this.#endStep();
    }
    const after = latest ?? (await this.#evaluate("after training"));
    this.#noteBest(after);
    await this.#save();
    const summary = summarise(config.project_name, this.state, this.plan.held, after);
    writeJsonAtomically(folder.summaryFile, summary);
    return summary;
  }

  /** Evaluates and saves where that is due after the state's step. */
  async #endStep(): Promise<EvaluationResult | undefined> {
    const { step, evaluation_due } = this.state;
    const result = evaluation_due ? await this.#evaluate(`after step ${step}`) : undefined;
    this.state.evaluation_due = false;
    const isBest = this.#noteBest(result);
    if (isBest || isDue(step, this.options.config.trainer_common.save_freq)) await this.#save();
    return result;
  }

  async #step(step: number): Promise<void> {
    const started = performance.now();
    const results = await this.#rollOut(step);
    const { num_repeat } = this.options.config.rollout;
    const groups = results.map((_, i) => Math.floor(i / num_repeat));
    const batch = buildStepBatch(results, groups, this.session.model.version);
    const rolledOut = performance.now();
    const stats = await this.#update(batch);
    const verdicts = stepVerdicts(batch, stats);
    const updated = performance.now();
    const outcome: StepOutcome = {
      step,
      results,
      stats,
      verdicts: [...verdicts.values()],
      sharedPromptTokens: sharedPrefix(results),
      rolloutSeconds: (rolledOut - started) / 1000,
      updateSeconds: (updated - rolledOut) / 1000,
      epoch: this.plan.order.epochOf(step),
      memory: await this.session.model.memory(),
    };
    this.state.step = step;
    addToTotals(this.state.totals, outcome);
    const metrics = stepMetrics(outcome);
    const measured = performance.now();
    this.#tokens?.write({ step, results, groups, batch, stats, verdicts });
    metrics["timing_s/token_log"] = (performance.now() - measured) / 1000;
    this.#metrics.step(metrics);
    this.options.listener?.onStep?.(metrics, this.plan.totalSteps);
    const warning = this.#collapse.check(step, results, this.options.config.trainer_common.optim.lr);
    if (warning !== undefined) this.options.listener?.onWarning?.(warning);
    const hopeless = this.#failures.check(step, results);
    if (hopeless !== undefined) {
      await this.#save();
      throw new AjetError("ERR_AJET_EPISODES", hopeless);
    }
  }

  async #rollOut(step: number): Promise<EpisodeResult[]> {
    const { num_repeat, temperature, max_response_length_in_one_turn: maxTokens } = this.options.config.rollout;
    const tasks = this.plan.order.batch(step).map((index) => this.plan.tasks[index] as Task);
    const requests = tasks.flatMap((task) => Array.from({ length: num_repeat }, (_, sample) => ({ task, sample })));
    this.options.listener?.onPhase?.(`step ${step}/${this.plan.totalSteps}`, requests.length);
    return this.session.runner.run(requests, { mode: "train", step, temperature, maxTokens }, this.#callbacks());
  }

  /** NaN is not saved: older checkpoints would make room for it. */
  #explain(error: NumericError): NumericError {
    const { step } = this.state;
    const latest = this.checkpoints.latest();
    const checkpoint =
      latest === undefined
        ? "There is no checkpoint yet."
        : `The last checkpoint is ${this.checkpoints.pathOf(latest)}.`;
    return new NumericError(
      `The run stopped after ${step} updates, and the weights are as those left them: ${error.message}. ${checkpoint} ` +
        "Lower `trainer_common.optim.lr`, or check the weights in `model.path`.",
      { cause: error },
    );
  }

  /** Undefined where no call was left to train on. */
  async #update({ batch }: StepBatch): Promise<TrainStats | undefined> {
    const { signal } = this.options;
    if (signal?.aborted) throw new AbortError("The run was stopped between rollout and update");
    if (batch.calls.length === 0) return undefined;
    return await this.trainer.step(batch, this.plan.loss, signal ? { signal } : {});
  }

  /** Undefined where there are no held-out tasks. */
  async #evaluate(moment: string): Promise<EvaluationResult | undefined> {
    const { held } = this.plan;
    if (held.validation.length === 0) return undefined;
    const { rollout, trainer_common } = this.options.config;
    const { val_kwargs, temperature, max_response_length_in_one_turn: maxTokens } = rollout;
    const repeats = trainer_common.val_pass_n ?? val_kwargs.num_repeat;
    this.options.listener?.onPhase?.(`evaluation ${moment}`, evaluationEpisodes(held, repeats));
    const started = performance.now();
    const result = await evaluate(this.session.runner, held, {
      step: this.state.step,
      temperature: val_kwargs.temperature ?? temperature,
      repeats,
      maxTokens,
      ...this.#callbacks(),
    });
    const seconds = (performance.now() - started) / 1000;
    this.#metrics.evaluation({ step: this.state.step, "timing_s/testing": seconds, ...evaluationMetrics(result) });
    this.options.listener?.onEvaluation?.(moment, result);
    return result;
  }

  #callbacks(): { signal?: AbortSignal; onEpisode: (result: EpisodeResult) => void } {
    const { signal, listener } = this.options;
    return { ...(signal ? { signal } : {}), onEpisode: (result) => listener?.onEpisode?.(result) };
  }

  /** True where the validation is the best so far. */
  #noteBest(result: EvaluationResult | undefined): boolean {
    if (result === undefined) return false;
    const { success_rate } = result.sampled;
    if (this.state.best !== undefined && success_rate <= this.state.best.success_rate) return false;
    this.state.best = { step: this.state.step, success_rate };
    return true;
  }

  async #save(): Promise<void> {
    this.state.totals.total_seconds = this.#secondsBefore + (performance.now() - this.#started) / 1000;
    const folder = await this.checkpoints.save(this.session.model, this.trainer, this.state, this.session.modelFolder);
    this.options.listener?.onCheckpoint?.(folder);
  }
}

/** True where something that is done every `frequency` steps (0: never) is due after a step. */
function isDue(step: number, frequency: number): boolean {
  return frequency > 0 && step % frequency === 0;
}
