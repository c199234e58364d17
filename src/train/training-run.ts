import type { Task } from "../agent/task.js";
import type { AjetConfig } from "../config/schema.js";
import { AbortError, NumericError } from "../native/errors.js";
import type { Trainer } from "../native/trainer.js";
import type { LossOptions, TrainStats } from "../native/types.js";
import { JsonlLog } from "../report/jsonl-log.js";
import type { EpisodeResult } from "../rollout/episode.js";
import { TaskOrder } from "../tasks/task-order.js";
import { writeJsonAtomically } from "./atomic-file.js";
import { Checkpoints } from "./checkpoints.js";
import { type EvaluationResult, type EvaluationTasks, evaluate, evaluationEpisodes } from "./evaluation.js";
import { lossOptions, trainerOptions } from "./loss-options.js";
import type { RunFolder } from "./run-folder.js";
import { newTotals, type RunState } from "./run-state.js";
import { Session, type SessionOptions } from "./session.js";
import { addToTotals, type StepMetrics, type StepOutcome, stepMetrics } from "./step-metrics.js";
import { type Summary, summarise } from "./summary.js";
import { evaluationTasks, trainingTasks } from "./task-splits.js";
import { TokenLog } from "./token-log.js";
import { buildStepBatch, type StepBatch, stepVerdicts } from "./train-batch.js";

/** What is known before the first step. */
export interface RunStart {
  device: string;
  /** Which isolation the Python tool has. */
  isolation: string;
  totalSteps: number;
  firstStep: number;
  trainingTasks: number;
}

/** What a run tells while it goes on. */
export interface RunListener {
  onStart?(start: RunStart): void;
  /** A rollout or an evaluation begins. */
  onPhase?(phase: string, episodes: number): void;
  onEpisode?(result: EpisodeResult): void;
  onEvaluation?(moment: string, result: EvaluationResult): void;
  onStep?(metrics: StepMetrics, totalSteps: number): void;
  onCheckpoint?(folder: string): void;
}

/** What {@link runTraining} needs. */
export interface TrainingOptions extends SessionOptions {
  folder: RunFolder;
  /** Called when everything is loaded, so that a run that cannot start leaves no folder. */
  claimFolder(): void;
  /** Go on from the newest checkpoint; from the start where there is none. */
  resume: boolean;
  signal?: AbortSignal;
  listener?: RunListener;
}

/**
 * Runs GRPO: rollout, token tree, update, step by step, with evaluations before and after.
 * @throws AbortError when `signal` fired; the last finished step is in a checkpoint then.
 * @throws NumericError when a step's loss or gradient was NaN or infinite; its weights were not touched.
 */
export async function runTraining(options: TrainingOptions): Promise<Summary> {
  const { config, folder, listener } = options;
  const { trainer_common, project_name } = config;
  const loss = lossOptions(config);
  const tasks = await trainingTasks(options);
  const held = await evaluationTasks(options);
  const { train_batch_size } = config.data;
  const batchSize = options.debug ? Math.min(train_batch_size, tasks.length) : train_batch_size;
  const order = new TaskOrder(tasks.length, batchSize, trainer_common.seed);
  const totalSteps = trainer_common.total_training_steps ?? trainer_common.total_epochs * order.stepsPerEpoch;
  const checkpointsFolder = folder.checkpointsFolder(trainer_common.checkpoint_base_dir, project_name);
  const checkpoints = new Checkpoints(checkpointsFolder, trainer_common.keep_checkpoints);
  const from = options.resume ? checkpoints.latest() : checkpoints.refuseOlder();
  const weights = from === undefined ? {} : { weightsFolder: checkpoints.pathOf(from) };
  await using session = await Session.open({ ...options, ...weights });
  await using trainer = await openTrainer(config, session, totalSteps, weights.weightsFolder);
  const state: RunState =
    from === undefined ? { format: 1, step: 0, totals: newTotals() } : checkpoints.readState(from);
  options.claimFolder();
  listener?.onStart?.({
    device: session.model.deviceDescription,
    isolation: session.sandbox.description,
    totalSteps,
    firstStep: state.step + 1,
    trainingTasks: tasks.length,
  });
  return await new TrainingRun(options, session, trainer, checkpoints, state, {
    tasks,
    order,
    held,
    loss,
    totalSteps,
  }).run();
}

/** The reference of a resumed run is the one it started with: its state brings it along. */
async function openTrainer(config: AjetConfig, session: Session, totalSteps: number, from?: string): Promise<Trainer> {
  const trainer = await session.model.createTrainer(trainerOptions(config, totalSteps));
  if (from !== undefined) await trainer.loadState(from);
  return trainer;
}

/** What stays the same throughout a run. */
interface RunPlan {
  tasks: readonly Task[];
  order: TaskOrder;
  held: EvaluationTasks;
  loss: LossOptions;
  totalSteps: number;
}

class TrainingRun {
  readonly #metrics: JsonlLog;
  readonly #tokens: TokenLog;
  readonly #started = performance.now();
  readonly #secondsBefore: number;

  constructor(
    private readonly options: TrainingOptions,
    private readonly session: Session,
    private readonly trainer: Trainer,
    private readonly checkpoints: Checkpoints,
    private readonly state: RunState,
    private readonly plan: RunPlan,
  ) {
    this.#metrics = new JsonlLog(options.folder.metricsFile, state.step);
    this.#tokens = new TokenLog(options.folder.tokensFolder, state.step);
    this.#secondsBefore = state.totals.total_seconds;
  }

  async run(): Promise<Summary> {
    try {
      return await this.#runSteps();
    } catch (error) {
      // The weights are those of the last finished step, whatever was interrupted.
      if (error instanceof AbortError) await this.#save();
      throw error instanceof NumericError ? this.#explain(error) : error;
    } finally {
      this.#metrics.close();
    }
  }

  async #runSteps(): Promise<Summary> {
    const { config, folder } = this.options;
    const { val_before_train, test_freq, save_freq } = config.trainer_common;
    if (this.state.before === undefined && val_before_train) {
      const before = await this.#evaluate("before training");
      if (before) this.state.before = before;
    }
    let latest: EvaluationResult | undefined;
    while (this.state.step < this.plan.totalSteps) {
      await this.#step(this.state.step + 1);
      const done = this.state.step;
      latest = isDue(done, test_freq) ? await this.#evaluate(`after step ${done}`) : undefined;
      const isBest = this.#noteBest(latest);
      if (isBest || isDue(done, save_freq)) await this.#save();
    }
    const after = latest ?? (await this.#evaluate("after training"));
    this.#noteBest(after);
    await this.#save();
    const summary = summarise(config.project_name, this.state, this.plan.held, after);
    writeJsonAtomically(folder.summaryFile, summary);
    return summary;
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
    const outcome: StepOutcome = {
      step,
      results,
      stats,
      verdicts: [...verdicts.values()],
      rolloutSeconds: (rolledOut - started) / 1000,
      updateSeconds: (performance.now() - rolledOut) / 1000,
    };
    this.state.step = step;
    addToTotals(this.state.totals, outcome);
    const metrics = stepMetrics(outcome);
    this.#metrics.append(metrics);
    this.#tokens.write(step, results, batch, stats, verdicts);
    this.options.listener?.onStep?.(metrics, this.plan.totalSteps);
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
    const { val_kwargs, temperature, max_response_length_in_one_turn: maxTokens } = this.options.config.rollout;
    const { num_repeat: repeats } = val_kwargs;
    this.options.listener?.onPhase?.(`evaluation ${moment}`, evaluationEpisodes(held, repeats));
    const result = await evaluate(this.session.runner, held, {
      step: this.state.step,
      temperature: val_kwargs.temperature ?? temperature,
      repeats,
      maxTokens,
      ...this.#callbacks(),
    });
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
