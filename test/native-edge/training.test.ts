import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Engine } from "../../src/native/engine.js";
import { AbortError, FileError, NativeError } from "../../src/native/errors.js";
import { createModelFromConfig, loadModel, type Model } from "../../src/native/model.js";
import { KV_BYTES, sampleBatch, tinyModel } from "./tiny-model.js";

let model: Model;
let engine: Engine;
let dir: string;

beforeEach(async () => {
  model = await tinyModel();
  engine = await model.createEngine({ kvBytes: KV_BYTES });
  dir = await mkdtemp(join(tmpdir(), "ajet-edge-"));
});
afterEach(async () => {
  await model.dispose();
  await rm(dir, { recursive: true });
});

const PROMPTS = [[1, 2, 3], [1, 2, 4, 5], [9]];
const LOSS = { preset: "ajet" } as const;

describe("trainer", () => {
  it("sees the sampler's log-probs to the last bit, step after step", async () => {
    const trainer = await model.createTrainer({ learningRate: 1e-2 });
    for (let step = 0; step < 3; step++) {
      const batch = await sampleBatch(engine, PROMPTS, 4, 25);
      const stats = await trainer.step(batch, LOSS);
      expect(stats).toMatchObject({ logprobMaxAbsDiff: 0, logprobsCompared: 300, updated: true, ratioMax: 1 });
      expect(stats.version).toBe(step + 1);
      expect(model.version).toBe(step + 1);
      expect(stats.fates).toEqual(Array(12).fill("trained"));
      expect([...stats.logprobs]).toEqual(batch.calls.flatMap((call) => [...call.logprobs]));
    }
    expect(trainer.stepsDone()).toBe(3);
  });

  it("notices one weight that changed between sampling and training", async () => {
    const trainer = await model.createTrainer();
    const batch = await sampleBatch(engine, PROMPTS, 2, 10);
    const name = "model.layers.1.mlp.down_proj.weight";
    const values = await model.readWeight(name);
    values[7] = (values[7] as number) + 0.5;
    await model.writeWeight(name, values);
    expect(await model.readWeight(name)).toEqual(values);
    expect(model.version).toBe(0);
    const stats = await trainer.step({ ...batch, evaluateOnly: true }, LOSS);
    expect(stats.logprobMaxAbsDiff).toBeGreaterThan(0);
    expect(stats).toMatchObject({ updated: false, version: 0 });
    await model.writeWeight(name, values, { bumpVersion: true });
    expect(model.version).toBe(1);
  });

  it("scores calls with the values that a step reports", async () => {
    const trainer = await model.createTrainer({ learningRate: 1e-2, reference: true });
    const batch = await sampleBatch(engine, PROMPTS, 2, 10);
    const before = await trainer.score(batch.calls);
    expect(before.logprobs).toEqual(batch.calls.map((call) => call.logprobs));
    const stats = await trainer.step(batch, { preset: "ajet", kl: "k3", klCoef: 0.1 });
    expect(stats.kl).toBe(0);
    const [now, reference] = [await trainer.score(batch.calls), await trainer.score(batch.calls, { reference: true })];
    expect(reference).toEqual(before);
    expect(now.logprobs).not.toEqual(before.logprobs);
  });

  it("computes layers again in the backward pass to the same bits", async () => {
    const batch = await sampleBatch(engine, PROMPTS, 4, 25);
    const weights: Float32Array[] = [];
    for (const recompute of ["none", "layers"] as const) {
      await using fresh = await tinyModel();
      const trainer = await fresh.createTrainer({ learningRate: 1e-2, recompute });
      const stats = await trainer.step(batch, LOSS);
      expect(stats).toMatchObject({ updated: true, logprobMaxAbsDiff: 0 });
      expect(stats.tokensRecomputed).toBe(recompute === "none" ? 0 : stats.tokensTrained);
      weights.push(await fresh.readWeight("model.layers.0.mlp.up_proj.weight"));
    }
    expect(weights[1]).toEqual(weights[0]);
  });

  it("leaves the event loop free", async () => {
    const trainer = await model.createTrainer();
    const batch = await sampleBatch(engine, PROMPTS, 32, 200);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await trainer.step(batch, LOSS);
    clearInterval(timer);
    expect(ticks).toBeGreaterThanOrEqual(5);
  });

  it("stops at the signal, and leaves the weights as they were", async () => {
    const trainer = await model.createTrainer({ learningRate: 1e-2, maxBatchTokens: 64 });
    const batch = await sampleBatch(engine, PROMPTS, 16, 100);
    const before = await model.readWeight("model.embed_tokens.weight");
    const controller = new AbortController();
    const step = trainer.step(batch, LOSS, { signal: controller.signal });
    setImmediate(() => controller.abort());
    await expect(step).rejects.toBeInstanceOf(AbortError);
    await expect(trainer.step(batch, LOSS, { signal: controller.signal })).rejects.toBeInstanceOf(AbortError);
    expect(model.version).toBe(0);
    expect(await model.readWeight("model.embed_tokens.weight")).toEqual(before);
    expect((await trainer.step(batch, LOSS)).updated).toBe(true);
  });

  it("refuses to save below a file", async () => {
    const trainer = await model.createTrainer();
    await model.save(dir);
    const nowhere = join(dir, "config.json", "x");
    for (const saving of [model.save(nowhere), trainer.saveState(nowhere)]) {
      await expect(saving).rejects.toMatchObject({
        code: "ERR_AJET_FILE",
        message: `Cannot make the folder ${nowhere}: ENOTDIR`,
      });
    }
  });

  it("goes on from saved weights and state to the last bit", async () => {
    const options = { learningRate: 1e-2, schedule: "cosine", totalSteps: 10, warmupSteps: 2 } as const;
    const trainer = await model.createTrainer(options);
    await trainer.step(await sampleBatch(engine, PROMPTS, 4, 20), LOSS);
    const checkpoint = join(dir, "step", "1");
    await model.save(checkpoint);
    await trainer.saveState(checkpoint);
    const batch = await sampleBatch(engine, PROMPTS, 4, 20);
    const stats = await trainer.step(batch, LOSS);

    await using resumed = await loadModel(checkpoint, { threads: 1 });
    await using second = await resumed.createTrainer(options);
    await second.loadState(checkpoint);
    expect(second.stepsDone()).toBe(1);
    const again = await second.step(batch, LOSS);
    expect(again).toMatchObject({ gradNorm: stats.gradNorm, loss: stats.loss, learningRate: stats.learningRate });
    for (const name of model.weightNames())
      expect(await resumed.readWeight(name)).toEqual(await model.readWeight(name));
    await using fresh = await createModelFromConfig(join(checkpoint, "config.json"), 1n);
    expect(fresh.shape).toEqual(model.shape);
  });

  it("names the file that it cannot read", async () => {
    const trainer = await model.createTrainer();
    await expect(trainer.loadState(join(dir, "missing"))).rejects.toBeInstanceOf(FileError);
    await expect(loadModel(join(dir, "missing"))).rejects.toThrow(join(dir, "missing"));
    const missing = createModelFromConfig(join(dir, "config.json"), 1n);
    await expect(missing).rejects.toBeInstanceOf(FileError);
  });

  it("refuses to mix losses that it cannot honour", async () => {
    const trainer = await model.createTrainer();
    const batch = await sampleBatch(engine, [[1]], 2, 4);
    await expect(trainer.step(batch, { preset: "ajet", kl: "k3", klCoef: 0.1 })).rejects.toBeInstanceOf(NativeError);
    expect(model.version).toBe(0);
  });
});
