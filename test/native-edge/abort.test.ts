import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/native/engine.js";
import { AbortError } from "../../src/native/errors.js";
import type { Model } from "../../src/native/model.js";
import { KV_BYTES, tinyModel, until } from "./tiny-model.js";

let model: Model;
let engine: Engine;

beforeAll(async () => {
  model = await tinyModel();
  engine = await model.createEngine({ kvBytes: KV_BYTES });
});
afterAll(() => model.dispose());

const LONG = { maxTokens: 60_000 };

describe("abort", () => {
  it("rejects with AbortError and the signal's reason, and stops the work", async () => {
    const controller = new AbortController();
    const run = engine.generate([1], { ...LONG, signal: controller.signal });
    await until(() => engine.stats().running > 0);
    controller.abort("enough");
    const error = await run.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(AbortError);
    expect(error).toMatchObject({ code: "ERR_AJET_ABORTED", cause: "enough" });
    expect((error as Error).stack).toContain("abort.test.ts");
    await until(() => engine.stats().running === 0);
  });

  it("does not start with an aborted signal", async () => {
    const before = engine.stats().promptTokens;
    await expect(engine.generate([1], { ...LONG, signal: AbortSignal.abort() })).rejects.toBeInstanceOf(AbortError);
    await expect(engine.stream([1], { ...LONG, signal: AbortSignal.abort() }).next()).rejects.toBeInstanceOf(
      AbortError,
    );
    await engine.resetPrefixCache();
    expect(engine.stats().promptTokens).toBe(before);
  });

  it("keeps what was sampled with keepPartial; choices that had ended keep their reason", async () => {
    const controller = new AbortController();
    let tokens = 0;
    const [greedy] = await engine.generate([1], { maxTokens: 40, temperature: 0 });
    const run = engine.generate([2], {
      ...LONG,
      choices: 2,
      signal: controller.signal,
      keepPartial: true,
      onTokens: (events) => {
        tokens += events.length;
        if (tokens > 40) controller.abort();
      },
    });
    const completions = await run;
    expect(completions.map(({ finishReason }) => finishReason)).toEqual(["cancelled", "cancelled"]);
    expect(completions.reduce((sum, completion) => sum + completion.tokens.length, 0)).toBeGreaterThan(40);
    const signal = AbortSignal.abort();
    const [nothing] = await engine.generate([1], { ...LONG, signal, keepPartial: true });
    expect(nothing).toMatchObject({ finishReason: "cancelled", tokens: new Int32Array(0) });
    const late = new AbortController();
    const [whole] = await engine.generate([1], {
      maxTokens: 40,
      temperature: 0,
      signal: late.signal,
      keepPartial: true,
    });
    late.abort();
    expect(whole).toEqual(greedy);
  });

  it("ends a stream with AbortError", async () => {
    const controller = new AbortController();
    const read = async () => {
      let tokens = 0;
      for await (const _ of engine.stream([1], { ...LONG, signal: controller.signal })) {
        if (++tokens === 3) controller.abort();
      }
    };
    await expect(read()).rejects.toBeInstanceOf(AbortError);
  });

  it("cancelAll ends every request with what it has", async () => {
    const runs = [1, 2, 3].map((token) => engine.generate([token], LONG));
    await until(() => engine.stats().running === 3);
    await engine.cancelAll();
    for (const [completion] of await Promise.all(runs)) expect(completion?.finishReason).toBe("cancelled");
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0 });
  });

  it("leaves other requests as they are", async () => {
    const options = { maxTokens: 200, seed: 9n };
    const [alone] = await engine.generate([5], options);
    const controller = new AbortController();
    const doomed = engine.generate([6], { ...LONG, signal: controller.signal });
    const kept = engine.generate([5], options);
    controller.abort();
    await expect(doomed).rejects.toBeInstanceOf(AbortError);
    expect(await kept).toEqual([alone]);
  });
});
