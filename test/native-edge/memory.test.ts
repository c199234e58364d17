import { describe, expect, it } from "vitest";
import { DisposedError } from "../../src/native/errors.js";
import { KV_BYTES, sampleBatch, tinyModel } from "./tiny-model.js";

describe("memory", () => {
  it("counts weights, cache and moments while they are there, and keeps the most that there was", async () => {
    const model = await tinyModel();
    const weights = await model.memory();
    expect(weights.activeBytes).toBeGreaterThanOrEqual(4 * model.shape.parameters);

    const engine = await model.createEngine({ kvBytes: KV_BYTES });
    const sampling = await model.memory();
    expect(sampling.activeBytes - weights.activeBytes).toBeGreaterThan(0.9 * KV_BYTES);

    const trainer = await model.createTrainer();
    const training = await model.memory();
    expect(training.activeBytes - sampling.activeBytes).toBeGreaterThanOrEqual(2 * 4 * model.shape.parameters);

    await trainer.step(await sampleBatch(engine, [[1, 2, 3]], 4, 40), { preset: "ajet" });
    const after = await model.memory();
    expect(after.peakBytes).toBeGreaterThan(training.peakBytes);
    expect(after.peakBytes).toBeGreaterThanOrEqual(after.activeBytes);

    await Promise.all([engine.dispose(), trainer.dispose()]);
    const left = await model.memory();
    expect(left.activeBytes).toBeLessThan(sampling.activeBytes);
    expect(left.peakBytes).toBe(after.peakBytes);
    await model.dispose();
    await expect(model.memory()).rejects.toBeInstanceOf(DisposedError);
  });
});
