import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nativeAddon } from "../../src/native/addon.js";
import type { Engine, GenerateOptions } from "../../src/native/engine.js";
import { createModel, loadModel, type Model, type ModelConfigJson } from "../../src/native/model.js";
import type { Trainer } from "../../src/native/trainer.js";
import type { TrainBatch } from "../../src/native/types.js";
import { KV_BYTES, sampleBatch, TINY, tinyModel } from "./tiny-model.js";

let model: Model;
let engine: Engine;
let trainer: Trainer;
let batch: TrainBatch;

beforeAll(async () => {
  model = await tinyModel();
  engine = await model.createEngine({ kvBytes: KV_BYTES, maxContext: 64 });
  trainer = await model.createTrainer();
  batch = await sampleBatch(engine, [[1, 2]], 2, 4);
});
afterAll(() => model.dispose());

/** A native refusal whose message holds the text. */
const refusal = (text: string) =>
  expect.objectContaining({
    name: "NativeError",
    code: "ERR_AJET_NATIVE_INVALID_ARGUMENT",
    message: expect.stringContaining(text),
    stack: expect.stringContaining("arguments.test.ts"),
  });

describe("arguments", () => {
  it.each<[string, unknown, object]>([
    ["at least 1 token for `prompt`", [], { maxTokens: 1 }],
    ["promptIds", "abc", { maxTokens: 1 }],
    ["promptIds[1]", [1, 1.5], { maxTokens: 1 }],
    ["promptIds[0]", [Number.NaN], { maxTokens: 1 }],
    ["promptIds", new Float32Array(2), { maxTokens: 1 }],
    ["96", [96], { maxTokens: 1 }],
    ["-1", [-1], { maxTokens: 1 }],
    ["prompt", Array(64).fill(1), { maxTokens: 1 }],
    ["`maxTokens`", [1], {}],
    ["`maxTokens` but received 0", [1], { maxTokens: 0 }],
    ["`maxTokens` but received 1.5", [1], { maxTokens: 1.5 }],
    ["`maxTokens` but received NaN", [1], { maxTokens: Number.NaN }],
    ['`maxTokens` but received "9"', [1], { maxTokens: "9" }],
    ["`temperature` but received -1", [1], { maxTokens: 1, temperature: -1 }],
    ["`temperature` but received Infinity", [1], { maxTokens: 1, temperature: Number.POSITIVE_INFINITY }],
    ["(0, 1] for `topP` but received 0", [1], { maxTokens: 1, topP: 0 }],
    ["[0, 1) for `minP` but received 1", [1], { maxTokens: 1, minP: 1 }],
    ["`topK` but received -2", [1], { maxTokens: 1, topK: -2 }],
    ["a bigint in [0, 2^64) for `seed` but received 7", [1], { maxTokens: 1, seed: 7 }],
    ["`seed` but received -1n", [1], { maxTokens: 1, seed: -1n }],
    ["`seed` but received 18446744073709551616n", [1], { maxTokens: 1, seed: 2n ** 64n }],
    ["`topLogprobs` but received 21", [1], { maxTokens: 1, topLogprobs: 21 }],
    ["`choices` but received 0", [1], { maxTokens: 1, choices: 0 }],
    ["`stopTokenIds[1]` but received null", [1], { maxTokens: 1, stopTokenIds: [1, null] }],
    ["Unknown option `temprature`", [1], { maxTokens: 1, temprature: 1 }],
  ])("generate refuses: %s", async (text, prompt, options) => {
    await expect(engine.generate(prompt as number[], options as GenerateOptions)).rejects.toEqual(refusal(text));
  });

  it("generate works after every refusal", async () => {
    expect(await engine.generate([1], { maxTokens: 2 })).toHaveLength(1);
  });

  it.each<[string, object]>([
    ["`maxSequences` but received 0", { maxSequences: 0 }],
    ["`kvBytes`", { kvBytes: "1" }],
    ["kv_bytes", { kvBytes: 1 }],
    ["65537", { maxContext: 65537 }],
    ["Unknown option `blocks`", { blocks: 1 }],
  ])("createEngine refuses: %s", async (text, options) => {
    await expect(model.createEngine(options)).rejects.toEqual(refusal(text));
  });

  it.each<[string, object]>([
    ["`learningRate` but received -1", { learningRate: -1 }],
    ["`learningRate` but received NaN", { learningRate: Number.NaN }],
    ["`beta1` but received 1", { beta1: 1 }],
    ['one of "constant", "linear", "cosine" for `schedule`', { schedule: "step" }],
    ['one of "none", "moments", "moments_and_master" for `offload`', { offload: "cpu" }],
    ['one of "auto", "none", "layers" for `recompute` but received "all"', { recompute: "all" }],
    ["`recompute` but received true", { recompute: true }],
    ["`reference`", { reference: 1 }],
    ["Unknown option `lr`", { lr: 1 }],
  ])("createTrainer refuses: %s", async (text, options) => {
    await expect(model.createTrainer(options)).rejects.toEqual(refusal(text));
  });

  it.each<[string, (batch: TrainBatch) => object]>([
    ["2 values (one an episode) for `groups`", (good) => ({ ...good, groups: Int32Array.of(0) })],
    ["`advantages`", (good) => ({ ...good, advantages: Float64Array.of(1) })],
    ["`rewards[0]`", (good) => ({ ...good, rewards: Float64Array.of(Number.NaN, 1) })],
    ["one value an episode for `rewards` but received undefined", ({ calls }) => ({ calls })],
    ["one value an episode for `rewards` but received undefined", ({ calls, groups }) => ({ calls, groups })],
    ["one value an episode for `groups` but received undefined", ({ calls, rewards }) => ({ calls, rewards })],
    ["a Float64Array for `rewards`", (good) => ({ ...good, rewards: [1, 0] })],
    ["Unknown option `reward`", (good) => ({ ...good, reward: 1 })],
    ["`calls`", (good) => ({ ...good, calls: 7 })],
    ["`calls[1].episode`", (good) => ({ ...good, calls: [good.calls[0], { ...good.calls[1], episode: 0.5 }] })],
    ["`episode[0]` but received 2", (good) => ({ ...good, calls: [{ ...good.calls[0], episode: 2 }] })],
    ["`calls[0].logprobs`", (good) => ({ ...good, calls: [{ ...good.calls[0], logprobs: new Float32Array(3) }] })],
    ["`calls[0].mask`", (good) => ({ ...good, calls: [{ ...good.calls[0], mask: new Uint8Array(1) }] })],
    [
      "`mask[2]` but received 2",
      (good) => ({ ...good, calls: [{ ...good.calls[0], mask: Uint8Array.of(0, 1, 2, 1) }] }),
    ],
    ["`calls[0].temperature`", (good) => ({ ...good, calls: [{ ...good.calls[0], temperature: Number.NaN }] })],
    [
      "`sampled[0]` but received 96",
      (good) => ({ ...good, calls: [{ ...good.calls[0], sampled: Int32Array.of(96, 1, 1, 1) }] }),
    ],
    [
      "`logprobs[3]`",
      (good) => ({ ...good, calls: [{ ...good.calls[0], logprobs: Float32Array.of(0, 0, 0, Number.NaN) }] }),
    ],
  ])("trainer.step refuses: %s", async (text, spoil) => {
    await expect(trainer.step(spoil(batch) as TrainBatch, { preset: "ajet" })).rejects.toEqual(refusal(text));
    expect(model.version).toBe(0);
  });

  it.each<[string, object]>([
    ["ppo", { preset: "ppo" }],
    ["`clipLow` but received -0.1", { preset: "ajet", clipLow: -0.1 }],
    ["`stdDdof` but received 2", { preset: "ajet", stdDdof: 2 }],
    ["`level`", { preset: "ajet", level: "word" }],
    ["Unknown option `clip`", { preset: "ajet", clip: 0.2 }],
  ])("trainer.step refuses the loss: %s", async (text, loss) => {
    await expect(trainer.step(batch, loss as { preset: "ajet" })).rejects.toEqual(refusal(text));
  });

  it("weights are checked by name and size", async () => {
    const name = "model.norm.weight";
    await expect(model.readWeight("norm")).rejects.toEqual(refusal('"norm"; weightNames() lists them'));
    await expect(model.writeWeight(name, new Float32Array(31))).rejects.toEqual(refusal("32 values"));
    await expect(model.writeWeight(name, [1] as unknown as Float32Array)).rejects.toEqual(refusal("a Float32Array"));
  });

  it("models are checked", async () => {
    await expect(createModel({ ...TINY, model_type: "gpt2" } as unknown as ModelConfigJson, 1n)).rejects.toEqual(
      refusal("gpt2"),
    );
    await expect(createModel({ ...TINY, num_key_value_heads: 3 }, 1n)).rejects.toEqual(refusal("num_key_value_heads"));
    await expect(createModel(TINY, 1 as unknown as bigint)).rejects.toEqual(refusal("`seed` but received 1"));
    await expect(createModel(TINY, 1n, { threads: 257 })).rejects.toEqual(refusal("`threads` but received 257"));
    await expect(loadModel(7 as unknown as string)).rejects.toEqual(refusal("`dir` but received 7"));
    await expect(loadModel("x", { device: "tpu" as "cpu" })).rejects.toEqual(refusal('"tpu"'));
    await expect(loadModel("x", { device: "cuda:99" })).rejects.toMatchObject({ code: "ERR_AJET_NATIVE_DEVICE" });
    await expect(loadModel("x", { device: "cpu", dtype: "bfloat16" })).rejects.toEqual(refusal("needs CUDA"));
    await expect(model.save("x", { dtype: "int8" as "float32" })).rejects.toEqual(refusal('"int8"'));
  });

  it("the addon itself survives the wrong handle", async () => {
    const addon = nativeAddon();
    const other = await addon.createModel(JSON.stringify(TINY), 1n, {});
    for (const wrong of [undefined, 1, {}, Object.create(other), other, addon] as never[]) {
      expect(() => addon.engineStats(wrong)).toThrow("Expected the handle of the engine");
      expect(() => addon.trainerStepsDone(wrong)).toThrow("Expected the handle of the trainer");
    }
    expect(() => addon.modelVersion(Object.create(other))).toThrow("Expected the handle of the model");
    const noArguments = Object.values(addon).filter((value) => typeof value === "function" && value !== addon.info);
    for (const call of noArguments as ((...args: unknown[]) => unknown)[]) {
      if (call !== (addon.lossPresets as unknown)) expect(() => call()).toThrow();
    }
    await addon.modelDispose(other);
  });
});
