import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/native/engine.js";
import type { Model } from "../../src/native/model.js";
import type { TokenEvent } from "../../src/native/types.js";
import { KV_BYTES, tinyModel, until } from "./tiny-model.js";

let model: Model;
let engine: Engine;

beforeAll(async () => {
  model = await tinyModel();
  engine = await model.createEngine({ kvBytes: KV_BYTES });
});
afterAll(() => model.dispose());

const LONG = { maxTokens: 60_000 };

describe("streaming", () => {
  it("yields what generate returns", async () => {
    const options = { maxTokens: 20, seed: 5n, choices: 2, topLogprobs: 2 };
    const completions = await engine.generate([1, 2], options);
    const events: TokenEvent[] = [];
    for await (const event of engine.stream([1, 2], options)) events.push(event);
    for (const { choice, tokens, logprobs, top } of completions) {
      const own = events.filter((event) => event.choice === choice);
      expect(own.map((event) => event.token)).toEqual([...tokens]);
      expect(own.map((event) => event.logprob)).toEqual([...logprobs]);
      expect(own.map((event) => event.top)).toEqual(top);
      expect(own.map((event) => event.finishReason)).toEqual([...Array(19).fill(undefined), "length"]);
    }
  });

  it("hands tokens over while the request runs, each to its own request", async () => {
    const seen: [TokenEvent[], TokenEvent[]] = [[], []];
    const controllers = [new AbortController(), new AbortController()] as const;
    const runs = controllers.map(({ signal }, i) =>
      engine.generate([i + 1], { ...LONG, signal, keepPartial: true, onTokens: (events) => seen[i]?.push(...events) }),
    );
    await until(() => seen.every((events) => events.length > 10));
    for (const controller of controllers) controller.abort();
    const completions = await Promise.all(runs);
    for (const [i, [completion]] of completions.entries()) {
      const streamed = seen[i]?.map((event) => event.token) ?? [];
      expect(completion?.finishReason).toBe("cancelled");
      expect(streamed).toEqual([...(completion?.tokens.slice(0, streamed.length) ?? [])]);
    }
    expect(seen[0].map((event) => event.token)).not.toEqual(
      seen[1].slice(0, seen[0].length).map((event) => event.token),
    );
  });

  it("cancels the request and frees its blocks when the consumer leaves the loop", async () => {
    await engine.resetPrefixCache();
    const free = engine.stats().freeBlocks;
    let taken = 0;
    for await (const _ of engine.stream([3], LONG)) if (++taken === 5) break;
    await until(() => engine.stats().running === 0);
    await engine.resetPrefixCache();
    expect(engine.stats().freeBlocks).toBe(free);
    expect(engine.stats().generatedTokens).toBeLessThan(LONG.maxTokens);
  });

  it("ends the request with the listener's own error", async () => {
    const failure = new Error("listener failed");
    const run = engine.generate([3], {
      ...LONG,
      onTokens: () => {
        throw failure;
      },
    });
    await expect(run).rejects.toBe(failure);
    await until(() => engine.stats().running === 0);
  });

  it("throws the error of a bad request at the first next()", async () => {
    await expect(engine.stream([3], { maxTokens: 0 }).next()).rejects.toThrow("`maxTokens`");
  });
});
