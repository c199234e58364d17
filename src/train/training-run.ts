import type { Task } from "../agent/task.js";
import type { AjetConfig } from "../config/schema.js";
import { AbortError } from "../native/errors.js";
import type { Trainer } from "../native/trainer.js";
import { JsonlLog } from "../report/jsonl-log.js";
import type { CallRecord, CallVerdict } from "../rollout/call-record.js";
import type { EpisodeResult } from "../rollout/episode.js";
import { TaskOrder } from "../tasks/task-order.js";
import { writeJsonAtomically } from "./atomic-file.js";
import { Checkpoints } from "./checkpoints.js";
import { type EvaluationResult, type EvaluationTasks, evaluate, evaluationEpisodes } from "./evaluation.js";
import { lossOptions, trainerOptions } from "./loss-options.js";
import type { RunFolder } from "./run-folder.js";
import { newTotals, type RunState } from "./run-state.js";
import { evaluationTasks, Session, type SessionOptions, trainingTasks } from "./session.js";
import { addToTotals, type StepMetrics, type StepOutcome, stepMetrics } from "./step-metrics.js";
import { type Summary, summarise } from "./summary.js";
import { TokenLog } from "./token-log.js";
import { buildStepBatch, type StepBatch, stepVerdicts } from "./train-batch.js";

/** What a run tells while it goes on. */
export interface RunListener {
  onStart?(info: { device: string; isolation: string; steps: number; firstStep: number; trainingTasks: number }): void;
  onPhase?(phase: string, episodes: number): void;
  onEpisode?(result: EpisodeResult): void;
  onEvaluation?(moment: string, result: EvaluationResult): void;
  onStep?(metrics: StepMetrics, totalSteps: number): void;
  onCheckpoint?(folder: string): void;
}

export interface TrainingOptions extends SessionOptions {
  folder: RunFolder;
  /** Go on from the newest checkpoint, if there is one. */
  resume: boolean;
  signal?: AbortSignal;
  listener?: RunListener;
}

/**
 * Runs GRPO: rollout, token tree, update, step by step, with evaluations before and after.
 * @throws AbortError when `signal` fired; the last finished step is in a checkpoint then.
 */
export async function runTraining(options: TrainingOptions): Promise<Summary> {
  const tasks = await trainingTasks(options);
  const held = await evaluationTasks(options);
  const checkpoints = new Checkpoints(options.folder.checkpointsFolder, options.config.trainer_common.keep_checkpoints);
  const last = options.resume ? checkpoints.latest() : undefined;
  await using session = await Session.open({
    ...options,
    ...(last !== undefined ? { weightsFolder: checkpoints.pathOf(last) } : {}),
  });
  const { trainer_common, data } = options.config;
  const order = new TaskOrder(tasks.length, data.train_batch_size, trainer_common.seed);
  const totalSteps = trainer_common.total_training_steps ?? trainer_common.total_epochs * order.stepsPerEpoch;
  await using trainer = await openTrainer(options.config, session, totalSteps, last !== undefined ? checkpoints.pathOf(last) : undefined);
  const state: RunState = last !== undefined ? checkpoints.readState(last) : { format: 1, step: 0, totals: newTotals() };
  options.listener?.onStart?.({
    device: session.model.device,
    isolation: session.sandbox.description,
    steps: totalSteps,
    firstStep: state.step + 1,
    trainingTasks: tasks.length,
  });
  return await new TrainingRun(options, session, trainer, checkpoints, state, { tasks, order, held }, totalSteps).run();
}

/** The reference of a resumed run is the one it started with: its state brings it along. */
async function openTrainer(config: AjetConfig, session: Session, totalSteps: number, from: string | undefined): Promise<Trainer> {
  const trainer = await session.model.createTrainer(trainerOptions(config, totalSteps));
  if (from !== undefined) await trainer.loadState(from);
  return trainer;
}

interface RunData {
  tasks: readonly Task[];
  order: TaskOrder;
  held: EvaluationTasks;
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
    private readonly data: RunData,
    private readonly totalSteps: number,
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
      throw error;
    } finally {
      this.#metrics.close();
    }
  }

  async #runSteps(): Promise<Summary> {
    const { trainer_common } = this.options.config;
    if (this.state.before === undefined && trainer_common.val_before_train) {
      this.state.before = await this.#evaluate("before training");
    }
    let latest: EvaluationResult | undefined;
    while (this.state.step < this.totalSteps) {
      await this.#step(this.state.step + 1);
      latest = undefined;
      const done = this.state.step;
      if (trainer_common.test_freq > 0 && done % trainer_common.test_freq === 0) {
        latest = await this.#evaluate(`after step ${done}`);
        this.#noteBest(latest);
      }
      if (trainer_common.save_freq > 0 && done % trainer_common.save_freq === 0) await this.#save();
    }
    const after = latest ?? (await this.#evaluate("after training"));
    this.#noteBest(after);
    await this.#save();
    const summary = summarise(this.state, this.data.held, after);
    writeJsonAtomically(this.options.folder.summaryFile, summary);
    return summary;
  }

  async #step(step: number): Promise<void> {
    const started = performance.now();
    const { num_repeat } = this.options.config.rollout;
    const results = await this.#rollOut(step, num_repeat);
    const groups = results.map((_, i) => Math.floor(i / num_repeat));
    const batch = buildStepBatch(results, groups, this.session.model.version);
    const rolledOut = performance.now();
    if (this.options.signal?.aborted) throw new AbortError("The run was stopped between rollout and update");
    const stats = batch.batch.calls.length > 0 ? await this.trainer.step(batch.batch, lossOptions(this.options.config)) : undefined;
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
    this.#report(outcome, batch, verdicts);
  }

  async #rollOut(step: number, repeats: number): Promise<EpisodeResult[]> {
    const { rollout } = this.options.config;
    const tasks = this.data.order.batch(step).map((index) => this.data.tasks[index] as Task);
    const requests = tasks.flatMap((task) => Array.from({ length: repeats }, (_, sample) => ({ task, sample })));
    this.options.listener?.onPhase?.(`step ${step}`, requests.length);
    const { temperature, max_response_length_in_one_turn: maxTokens } = rollout;
    return this.session.runner.run(requests, { mode: "train", step, temperature, maxTokens }, this.#hooks());
  }

  async #evaluate(moment: string): Promise<EvaluationResult> {
    const { rollout } = this.options.config;
    const repeats = rollout.val_kwargs.num_repeat;
    this.options.listener?.onPhase?.(`evaluation ${moment}`, evaluationEpisodes(this.data.held, repeats));
    const result = await evaluate(this.session.runner, this.data.held, {
      step: this.state.step,
      temperature: rollout.val_kwargs.temperature ?? rollout.temperature,
      repeats,
      maxTokens: rollout.max_response_length_in_one_turn,
      ...this.#hooks(),
    });
    this.options.listener?.onEvaluation?.(moment, result);
    return result;
  }

  #hooks(): { signal?: AbortSignal; onEpisode?: (result: EpisodeResult) => void } {
    const { signal, listener } = this.options;
    return { ...(signal ? { signal } : {}), onEpisode: (result) => listener?.onEpisode?.(result) };
  }

  #report(outcome: StepOutcome, batch: StepBatch, verdicts: ReadonlyMap<CallRecord, CallVerdict>): void {
    const metrics = stepMetrics(outcome);
    this.#metrics.append(metrics);
    this.#tokens.write(outcome.step, outcome.results, batch, outcome.stats, verdicts);
    this.options.listener?.onStep?.(metrics, this.totalSteps);
  }

  #noteBest(result: EvaluationResult): void {
    const rate = result.sampled.success_rate;
    if (this.state.best === undefined || rate > this.state.best.success_rate) {
      this.state.best = { step: this.state.step, success_rate: rate };
    }
  }

  async #save(): Promise<void> {
    this.state.totals.total_seconds = this.#secondsBefore + (performance.now() - this.#started) / 1000;
    const folder = await this.checkpoints.save(this.session.model, this.trainer, this.state, this.session.modelFolder);
    this.options.listener?.onCheckpoint?.(folder);
  }
}
