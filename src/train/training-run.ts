import type { AjetConfig } from "../config/schema.js";
import { describeKeysIdleOn } from "../config/without-effect.js";
import { makeWritableFolder } from "../native/make-folder.js";
import type { Trainer } from "../native/trainer.js";
import { TaskOrder } from "../tasks/task-order.js";
import { Checkpoints } from "./checkpoints.js";
import { publishWeights } from "./live-weights.js";
import { lossOptions, trainerOptions } from "./loss-options.js";
import { explainingOutOfMemory } from "./out-of-memory.js";
import type { RunFolder } from "./run-folder.js";
import type { RunListener } from "./run-listener.js";
import { newTotals, type RunState } from "./run-state.js";
import { Session, type SessionOptions } from "./session.js";
import type { Summary } from "./summary.js";
import { evaluationTasks, trainingTasks } from "./task-splits.js";
import { TrainingLoop } from "./training-loop.js";

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
 * @throws OutOfMemoryError that says what was planned and what to lower; the last checkpoint is whole.
 * @throws NumericError when a step's loss or gradient was NaN or infinite; its weights were not touched.
 */
export async function runTraining(options: TrainingOptions): Promise<Summary> {
  return await explainingOutOfMemory({ config: options.config, roots: options, trains: true }, () => train(options));
}

async function train(options: TrainingOptions): Promise<Summary> {
  const { config, folder, listener } = options;
  const { trainer_common, project_name } = config;
  const { checkpoint_base_dir } = trainer_common;
  const loss = lossOptions(config);
  const tasks = await trainingTasks(options);
  const held = await evaluationTasks(options);
  const order = new TaskOrder(tasks.length, config.data.train_batch_size, trainer_common.seed);
  const totalSteps = trainer_common.total_training_steps ?? trainer_common.total_epochs * order.stepsPerEpoch;
  const checkpointsFolder = folder.checkpointsFolder(checkpoint_base_dir, project_name);
  const checkpoints = new Checkpoints(checkpointsFolder, trainer_common.keep_checkpoints);
  const from = options.resume ? checkpoints.latest() : checkpoints.refuseOlder();
  const weights = from === undefined ? {} : { weightsFolder: checkpoints.pathOf(from) };
  await using session = await Session.open({ ...options, ...weights, trains: true });
  await using trainer = await openTrainer(config, session, totalSteps, weights.weightsFolder);
  const state: RunState =
    from === undefined ? { format: 1, step: 0, totals: newTotals() } : checkpoints.readState(from);
  if (checkpoint_base_dir !== null) makeWritableFolder(checkpointsFolder, "trainer_common.checkpoint_base_dir");
  options.claimFolder();
  for (const note of describeKeysIdleOn(session.model.device, config)) listener?.onNote?.(note);
  session.publishEpisodeApi(folder.path);
  using _published = await publishWeights(session, config, folder.path, (note) => listener?.onNote?.(note));
  listener?.onStart?.({
    device: session.model.deviceLine,
    isolation: session.sandbox.description,
    totalSteps,
    firstStep: state.step + 1,
    trainingTasks: tasks.length,
    metricsUrl: new URL("/metrics", session.server.baseUrl).href,
  });
  const plan = { tasks, order, held, loss, totalSteps };
  return await new TrainingLoop(options, session, trainer, checkpoints, state, plan).run();
}

/** The reference of a resumed run is the one it started with: its state brings it along. */
async function openTrainer(config: AjetConfig, session: Session, totalSteps: number, from?: string): Promise<Trainer> {
  const trainer = await session.model.createTrainer(trainerOptions(config, totalSteps));
  if (from !== undefined) await trainer.loadState(from);
  return trainer;
}
