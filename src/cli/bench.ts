import type { Command } from "commander";
import type { Model } from "../native/model.js";
import { type ModelOptions, modelSettings, openModel } from "./model-settings.js";
import { type CommonOptions, command, parsePositive, withDevice, withOverrides } from "./options.js";
import { Output } from "./output.js";

interface BenchOptions extends CommonOptions, ModelOptions {
  promptTokens: number;
  newTokens: number;
  repeats: number;
}

/** One measured figure. */
interface Figure {
  name: string;
  value: number;
  unit: string;
  device: string;
  shape: string;
}

/** `ajet bench`: speed of inference and update on this machine. */
export function addBench(program: Command): void {
  const bench = command(program, "bench", "speed of decoding, prefill and update on this machine")
    .option("--model <dir>", "Hugging Face folder", "models/ajet-tiny")
    .option("--prompt-tokens <n>", "length of the prompts", parsePositive, 256)
    .option("--new-tokens <n>", "length of the completions", parsePositive, 64)
    .option("--repeats <n>", "runs of each figure; the median is printed", parsePositive, 5);
  withOverrides(withDevice(bench)).action(async (options: BenchOptions) => {
    const output = new Output(options);
    await using model = await openModel(modelSettings(options, []));
    for (const requests of [1, 16, 64]) report(output, await decodeRate(model, options, requests));
    report(output, await prefillRate(model, options));
    report(output, await updateRate(model, options));
  });
}

function report(output: Output, figure: Figure): void {
  output.line(
    `${figure.name.padEnd(10)} ${figure.value.toFixed(1).padStart(12)} ${figure.unit}  (${figure.shape}; ${figure.device})`,
  );
  output.result({ ...figure });
}

async function decodeRate(model: Model, options: BenchOptions, requests: number): Promise<Figure> {
  await using engine = await model.createEngine({ maxSequences: requests });
  const value = await median(options.repeats, async () => {
    await engine.resetPrefixCache();
    const prompts = Array.from({ length: requests }, (_, i) => promptOf(model, 8, i));
    const started = performance.now();
    await Promise.all(
      prompts.map((prompt) => engine.generate(prompt, { maxTokens: options.newTokens, temperature: 1 })),
    );
    return (requests * options.newTokens * 1000) / (performance.now() - started);
  });
  return figure("decode", value, "tokens/s", model, `${requests} requests, 8 + ${options.newTokens} tokens`);
}

async function prefillRate(model: Model, options: BenchOptions): Promise<Figure> {
  await using engine = await model.createEngine();
  const value = await median(options.repeats, async () => {
    await engine.resetPrefixCache();
    const started = performance.now();
    await engine.generate(promptOf(model, options.promptTokens, 0), { maxTokens: 1 });
    return (options.promptTokens * 1000) / (performance.now() - started);
  });
  return figure("prefill", value, "tokens/s", model, `1 prompt of ${options.promptTokens} tokens`);
}

async function updateRate(model: Model, options: BenchOptions): Promise<Figure> {
  await using trainer = await model.createTrainer({ learningRate: 1e-12 });
  const rows = 8;
  const calls = Array.from({ length: rows }, (_, row) => ({
    episode: row,
    prompt: promptOf(model, options.promptTokens, 0),
    sampled: promptOf(model, options.newTokens, row + 1),
    logprobs: new Float32Array(options.newTokens).fill(-1),
    temperature: 1,
  }));
  const batch = {
    calls,
    rewards: Float64Array.from(calls, (_, row) => row % 2),
    groups: new Int32Array(rows),
  };
  const value = await median(options.repeats, async () => {
    const started = performance.now();
    const stats = await trainer.step(batch, { preset: "ajet" });
    return (stats.tokensUnshared * 1000) / (performance.now() - started);
  });
  return figure(
    "update",
    value,
    "row tokens/s",
    model,
    `group of ${rows}, prompt ${options.promptTokens}, response ${options.newTokens}`,
  );
}

function figure(name: string, value: number, unit: string, model: Model, shape: string): Figure {
  return { name, value, unit, device: model.deviceDescription, shape };
}

/** Ids spread over the vocabulary: the same for the same variant, different in the first token between variants. */
function promptOf(model: Model, tokens: number, variant: number): Int32Array {
  const { vocabSize } = model.shape;
  return Int32Array.from({ length: tokens }, (_, i) => (variant * 7919 + i * 104729 + 1) % vocabSize);
}

/** The median of several runs, after one that is not counted. */
async function median(repeats: number, run: () => Promise<number>): Promise<number> {
  await run();
  const values: number[] = [];
  for (let i = 0; i < repeats; i++) values.push(await run());
  values.sort((a, b) => a - b);
  return values[Math.floor(values.length / 2)] as number;
}
