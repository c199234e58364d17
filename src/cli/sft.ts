import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { ConfigError } from "../native/errors.js";
import { createModelFromConfig, loadModel } from "../native/model.js";
import { ProgressBar } from "../report/progress-bar.js";
import { loadChatTemplate } from "../text/chat-template.js";
import { loadTokenizer } from "../text/tokenizer.js";
import { TEXT_FILES } from "../train/checkpoints.js";
import { runSft, sftSteps } from "../train/sft.js";
import { readConversations, type SupervisedCall, supervisedCalls } from "../train/sft-data.js";
import { type CommonOptions, command, parseCount, parseNumber, withDevice } from "./options.js";
import { Output } from "./output.js";

interface SftOptions extends CommonOptions {
  data: string;
  model: string;
  out: string;
  device?: "auto";
  threads?: number;
  epochs: number;
  batchSize: number;
  lr: number;
  warmup: number;
  weightDecay: number;
  seed: number;
  dtype: "float32" | "bfloat16";
}

/** `ajet sft`: supervised fine-tuning on conversations. */
export function addSft(program: Command): void {
  const sft = command(program, "sft", "supervised fine-tuning on conversations; a folder without weights starts from random ones")
    .requiredOption("--data <file>", "JSONL with `messages` and `tools`; every assistant message is learned")
    .requiredOption("--model <dir>", "Hugging Face folder: config.json, tokenizer.json and, to go on from them, weights")
    .requiredOption("--out <dir>", "folder for the trained model")
    .option("--epochs <n>", "passes over the data", parseCount, 1)
    .option("--batch-size <n>", "conversations a step", parseCount, 64)
    .option("--lr <x>", "peak learning rate (cosine to a tenth)", parseNumber, 1e-4)
    .option("--warmup <n>", "steps of linear warm-up", parseCount, 20)
    .option("--weight-decay <x>", "AdamW's decoupled weight decay", parseNumber, 0.01)
    .option("--seed <n>", "of the order and of random weights", parseCount, 1)
    .option("--dtype <dtype>", "of the saved weights: float32 or bfloat16", "float32");
  withDevice(sft).action((options: SftOptions) => train(options, new Output(options)));
}

async function train(options: SftOptions, output: Output): Promise<void> {
  if (!["float32", "bfloat16"].includes(options.dtype)) {
    throw new ConfigError(`Expected float32 or bfloat16 for --dtype but received "${options.dtype}"`);
  }
  const place = { ...(options.device ? { device: options.device } : {}), threads: options.threads ?? 0 };
  const hasWeights = ["model.safetensors", "model.safetensors.index.json"].some((file) => existsSync(join(options.model, file)));
  await using model = hasWeights
    ? await loadModel(options.model, place)
    : await createModelFromConfig(join(options.model, "config.json"), BigInt(options.seed), place);
  const conversations = await prepare(options, model.shape.vocabSize);
  const totalSteps = sftSteps(conversations.length, options);
  output.line(
    `${conversations.length} conversations, ${totalSteps} steps, ${model.shape.parameters.toLocaleString("en")} parameters` +
      `${hasWeights ? "" : ", from random weights"}, ${model.device}`,
  );
  await using trainer = await model.createTrainer({
    learningRate: options.lr,
    weightDecay: options.weightDecay,
    schedule: "cosine",
    warmupSteps: options.warmup,
    totalSteps,
    finalRatio: 0.1,
    maxBatchTokens: 16384,
  });
  const bar = new ProgressBar("sft", totalSteps, output.interactive);
  await runSft(trainer, conversations, {
    ...options,
    onStep: (step, steps, stats) => {
      bar.update(step, `loss ${stats.loss.toFixed(4)}`);
      if (step % 20 === 0 || step === steps) {
        const rate = stats.tokensTrained / (stats.forwardSeconds + stats.backwardSeconds + stats.optimizerSeconds);
        output.line(`step ${step}/${steps}  loss ${stats.loss.toFixed(4)}  lr ${stats.learningRate.toExponential(2)}  ${Math.round(rate)} tok/s`);
      }
      output.result({ step, loss: stats.loss, grad_norm: stats.gradNorm, learning_rate: stats.learningRate });
    },
  });
  bar.stop();
  mkdirSync(options.out, { recursive: true });
  await model.save(options.out, { dtype: options.dtype });
  for (const file of TEXT_FILES) {
    const source = join(options.model, file);
    if (existsSync(source) && options.model !== options.out) copyFileSync(source, join(options.out, file));
  }
  output.line(`saved ${options.out}`);
}

async function prepare(options: SftOptions, vocabSize: number): Promise<SupervisedCall[][]> {
  const tokenizer = await loadTokenizer(options.model, { vocabSize });
  const template = await loadChatTemplate(options.model, tokenizer);
  const conversations: SupervisedCall[][] = [];
  for await (const conversation of readConversations(options.data)) {
    conversations.push(supervisedCalls(conversation, template, tokenizer));
  }
  if (conversations.length === 0) throw new ConfigError(`Expected at least one conversation in ${options.data}`);
  return conversations;
}
