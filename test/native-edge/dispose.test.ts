import { describe, expect, it } from "vitest";
import type { Engine } from "../../src/native/engine.js";
import { DisposedError } from "../../src/native/errors.js";
import { KV_BYTES, sampleBatch, tinyModel, until } from "./tiny-model.js";

describe("dispose", () => {
  it("is idempotent, and later calls reject with DisposedError", async () => {
    const model = await tinyModel();
    const engine = await model.createEngine({ kvBytes: KV_BYTES });
    const trainer = await model.createTrainer();
    const batch = await sampleBatch(engine, [[1, 2]], 2, 4);
    await Promise.all([engine.dispose(), engine.dispose(), trainer.dispose()]);
    await engine.dispose();
    await expect(engine.generate([1], { maxTokens: 1 })).rejects.toBeInstanceOf(DisposedError);
    await expect(engine.stream([1], { maxTokens: 1 }).next()).rejects.toBeInstanceOf(DisposedError);
    expect(() => engine.stats()).toThrow(DisposedError);
    await expect(trainer.step(batch, { preset: "ajet" })).rejects.toBeInstanceOf(DisposedError);
    await expect(trainer.score(batch.calls)).rejects.toBeInstanceOf(DisposedError);
    await model.dispose();
    await model.dispose();
    await expect(model.createEngine()).rejects.toBeInstanceOf(DisposedError);
    await expect(model.save("/nowhere")).rejects.toThrow();
    await expect(model.readWeight("lm_head.weight")).rejects.toBeInstanceOf(DisposedError);
    expect(model.shape.vocabSize).toBe(96);
  });

  it("rejects what is pending", async () => {
    const model = await tinyModel();
    const engine = await model.createEngine({ kvBytes: KV_BYTES });
    const runs = [1, 2].map((token) => engine.generate([token], { maxTokens: 60_000 }));
    const outcomes = Promise.allSettled(runs);
    await until(() => engine.stats().running === 2);
    await engine.dispose();
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "ERR_AJET_DISPOSED" } });
    }
    await model.dispose();
  });

  it("a model disposes of its engines and trainers, after the update that is running", async () => {
    const model = await tinyModel();
    const engine = await model.createEngine({ kvBytes: KV_BYTES });
    const trainer = await model.createTrainer();
    const batch = await sampleBatch(engine, [[1, 2], [3]], 4, 30);
    const update = trainer.step(batch, { preset: "ajet" });
    const pending = engine.generate([1], { maxTokens: 60_000 });
    const outcome = pending.catch((error: unknown) => error);
    await model.dispose();
    expect((await update).updated).toBe(true);
    expect(await outcome).toBeInstanceOf(DisposedError);
    await expect(trainer.step(batch, { preset: "ajet" })).rejects.toBeInstanceOf(DisposedError);
    await expect(engine.generate([1], { maxTokens: 1 })).rejects.toBeInstanceOf(DisposedError);
    await Promise.all([engine.dispose(), trainer.dispose()]);
  });

  it("an engine that is being made when its model goes is closed too", async () => {
    const model = await tinyModel();
    const making = model.createEngine({ kvBytes: KV_BYTES });
    const disposing = model.dispose();
    const engine = await making;
    await expect(engine.generate([1], { maxTokens: 1 })).rejects.toBeInstanceOf(DisposedError);
    await disposing;
  });

  it("works through await using", async () => {
    let engine: Engine;
    {
      await using model = await tinyModel();
      await using scoped = await model.createEngine({ kvBytes: KV_BYTES });
      engine = scoped;
      expect(await engine.generate([1], { maxTokens: 1 })).toHaveLength(1);
    }
    await expect(engine.generate([1], { maxTokens: 1 })).rejects.toBeInstanceOf(DisposedError);
  });
});
