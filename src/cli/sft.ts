import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import type { AjetConfig } from "../config/schema.js";
import { describeKeysIdleOn } from "../config/without-effect.js";
import { AbortError, ConfigError, FileError, OutOfMemoryError } from "../native/errors.js";
import { makeWritableFolder } from "../native/make-folder.js";
import { createModelFromConfig, type Model } from "../native/model.js";
import type { TrainStats } from "../native/types.js";
import { ProgressBar } from "../report/progress-bar.js";
import { loadChatTemplate } from "../text/chat-template.js";
import { loadTokenizer } from "../text/tokenizer.js";
import { copyTextFiles } from "../train/checkpoints.js";
import { trainerOptions } from "../train/loss-options.js";
import { placeOf } from "../train/native-options.js";
import { runSft, sftSteps } from "../train/sft.js";
import { readConversations, type SupervisedCall, supervisedCalls } from "../train/sft-data.js";
import { type ModelOptions, modelSettings, openModel } from "./model-settings.js";
import {
  type CommonOptions,
  command,
  parseCount,
  parseNumber,
  parsePositive,
  withDevice,
  withOverrides,
} from "./options.js";
import { Output } from "./output.js";
import { StopSignal } from "./stop-signal.js";

interface SftOptions extends CommonOptions, ModelOptions {
  data: string;
  out: string;
  epochs: number;
  batchSize: number;
  lr: number;
  /** {@link WARMUP} where it is not given. */
  warmup?: number;
  weightDecay: number;
  seed: number;
  dtype: "float32" | "bfloat16";
}

const WARMUP = 20;

/** `ajet sft`: supervised fine-tuning on conversations. */
export function addSft(program: Command): void {
  const sft = command(
    program,
    "sft",
    "supervised fine-tuning on conversations; a folder without weights starts from random ones",
  )
    .requiredOption("--data <file>", "JSONL with `messages` and `tools`; every assistant message is learned")
    .requiredOption(
      "--model <dir>",
      "Hugging Face folder: config.json, tokenizer.json and, to go on from them, weights",
    )
    .requiredOption("--out <dir>", "folder for the trained model")
    .option("--epochs <n>", "passes over the data", parsePositive, 1)
    .option("--batch-size <n>", "conversations a step", parsePositive, 64)
    .option("--lr <x>", "peak learning rate (cosine to a tenth)", parseNumber, 1e-4)
    .option("--warmup <n>", `steps of linear warm-up (default: ${WARMUP}, at most a tenth of all)`, parseCount)
    .option("--weight-decay <x>", "AdamW's decoupled weight decay", parseNumber, 0.01)
    .option("--seed <n>", "of the order and of random weights", parseCount, 1)
    .option("--dtype <dtype>", "of the saved weights: float32 or bfloat16", "float32");
  withOverrides(withDevice(sft)).action((options: SftOptions) => train(options, new Output(options)));
}

async function train(options: SftOptions, output: Output): Promise<void> {
  checkOptions(options);
  const settings = sftSettings(options);
  await using model = await startModel(settings, options.seed);
  const conversations = await prepare(settings.model.path, options.data, model);
  const totalSteps = sftSteps(conversations.length, options);
  fitWarmup(settings.trainer_common.optim, options, totalSteps, conversations.length);
  makeWritableFolder(options.out, "--out");
  output.line(
    `${conversations.length} conversations, ${totalSteps} steps, ${model.shape.parameters.toLocaleString("en")} parameters` +
      `${hasWeights(settings.model.path) ? "" : ", from random weights"}, ${model.deviceLine}`,
  );
  for (const note of describeKeysIdleOn(model.device, settings)) output.note(`note: ${note}`);
  await using trainer = await model.createTrainer(trainerOptions(settings, totalSteps));
  using stop = new StopSignal(() =>
    output.note("stopping: the model is saved as it is (press again to leave at once)"),
  );
  using bar = new ProgressBar("sft", totalSteps, output.interactive);
  const onStep = (step: number, steps: number, stats: TrainStats) => {
    bar.update(step, `loss ${stats.loss.toFixed(4)}`);
    if (step % LINE_EVERY === 0 || step === steps) output.line(stepLine(step, steps, stats));
    output.result({ step, loss: stats.loss, grad_norm: stats.gradNorm, learning_rate: stats.learningRate });
  };
  const save = async () => {
    await model.save(options.out, { dtype: options.dtype });
    if (resolve(settings.model.path) !== resolve(options.out)) copyTextFiles(settings.model.path, options.out);
    output.line(`saved ${options.out}`);
  };
  try {
    await runSft(trainer, conversations, { ...options, onStep, signal: stop.signal });
  } catch (error) {
    if (error instanceof AbortError) await save();
    throw error instanceof OutOfMemoryError ? withRemedy(error, settings) : error;
  }
  await save();
}

/** Steps between lines on the terminal. */
const LINE_EVERY = 20;

function stepLine(step: number, steps: number, stats: TrainStats): string {
  const rate = stats.tokensTrained / (stats.forwardSeconds + stats.backwardSeconds + stats.optimizerSeconds);
  return `step ${step}/${steps}  loss ${stats.loss.toFixed(4)}  lr ${stats.learningRate.toExponential(2)}  ${Math.round(rate)} tok/s`;
}

/** What takes the memory, and what takes less. */
function withRemedy(error: OutOfMemoryError, { trainer_common }: AjetConfig): OutOfMemoryError {
  const { max_batch_tokens, recompute } = trainer_common;
  const instead = recompute === "none" ? ", or set `trainer_common.recompute=layers`" : "";
  const remedy = `Lower \`trainer_common.max_batch_tokens\` (${max_batch_tokens}) with --set${instead}`;
  return new OutOfMemoryError(`${error.message}\n${remedy}`, { cause: error });
}

function checkOptions({ dtype }: SftOptions): void {
  if (!["float32", "bfloat16"].includes(dtype)) {
    throw new ConfigError(`Expected float32 or bfloat16 for --dtype but received "${dtype}"`);
  }
}

/** The default suits small data, too; what was asked for must leave steps for the rest. @throws ConfigError */
function fitWarmup(optim: AjetConfig["trainer_common"]["optim"], { warmup }: SftOptions, steps: number, count: number) {
  if (warmup === undefined && optim.warmup_steps === WARMUP)
    optim.warmup_steps = Math.min(WARMUP, Math.floor(steps / 10));
  if (optim.warmup_steps < steps) return;
  throw new ConfigError(
    `Expected --warmup below the ${steps} steps that ${count} conversations make but received ${optim.warmup_steps}`,
  );
}

/** The flags as a configuration, with `--set` on top. */
function sftSettings(options: SftOptions): AjetConfig {
  const optim = {
    lr: options.lr,
    weight_decay: options.weightDecay,
    warmup_steps: options.warmup ?? WARMUP,
    schedule: "cosine",
    final_ratio: 0.1,
  };
  const keys = ["trainer_common.optim", "trainer_common.max_batch_tokens", "trainer_common.recompute"];
  return modelSettings(options, keys, { trainer_common: { max_batch_tokens: 16384, optim } });
}

async function startModel(settings: AjetConfig, seed: number): Promise<Model> {
  const { path } = settings.model;
  if (hasWeights(path)) return openModel(settings);
  return createModelFromConfig(join(path, "config.json"), BigInt(seed), placeOf(settings));
}

function hasWeights(folder: string): boolean {
  return ["model.safetensors", "model.safetensors.index.json"].some((file) => existsSync(join(folder, file)));
}

async function prepare(modelFolder: string, data: string, { shape }: Model): Promise<SupervisedCall[][]> {
  if (!existsSync(data)) throw new ConfigError(`The conversations ${data} do not exist`);
  const tokenizer = await loadTokenizer(modelFolder, { vocabSize: shape.vocabSize });
  const template = await loadChatTemplate(modelFolder, tokenizer);
  const conversations: SupervisedCall[][] = [];
  for await (const conversation of readConversations(data)) {
    const calls = supervisedCalls(conversation, template, tokenizer);
    const tokens = Math.max(...calls.map(({ prompt, sampled }) => prompt.length + sampled.length));
    if (tokens > shape.maxPositionEmbeddings) {
      throw new FileError(
        `${conversation.place}: the conversation has ${tokens} tokens, and the model takes ${shape.maxPositionEmbeddings} ` +
          "(`max_position_embeddings`): shorten it, or leave it out",
      );
    }
    conversations.push(calls);
  }
  if (conversations.length === 0) throw new ConfigError(`Expected at least one conversation in ${data}`);
  return conversations;
}
