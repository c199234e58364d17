import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/native/engine.js";
import type { Model } from "../../src/native/model.js";
import type { Completion, TokenEvent } from "../../src/native/types.js";
import { KV_BYTES, tinyModel } from "./tiny-model.js";

let model: Model;
let engine: Engine;

beforeAll(async () => {
  model = await tinyModel();
  engine = await model.createEngine({ kvBytes: KV_BYTES, maxContext: 512 });
});
afterAll(() => model.dispose());

const plain = (completions: Completion[]) =>
  completions.map(({ tokens, logprobs, finishReason }) => ({
    tokens: [...tokens],
    logprobs: [...logprobs],
    finishReason,
  }));

describe("generate", () => {
  it("gives the same bits alone and under load", async () => {
    const requests = Array.from({ length: 24 }, (_, i) => ({
      prompt: [1, 2, 3, ...Array.from({ length: i }, (_, j) => (7 * i + j) % 96)],
      options: {
        maxTokens: 8 + (i % 5) * 7,
        seed: BigInt(i),
        choices: 1 + (i % 3),
        temperature: i % 4 === 0 ? 0 : 0.8,
      },
    }));
    const together = await Promise.all(requests.map(({ prompt, options }) => engine.generate(prompt, options)));
    await engine.resetPrefixCache();
    for (const [i, { prompt, options }] of requests.entries()) {
      expect(plain(await engine.generate(prompt, options))).toEqual(plain(together[i] as Completion[]));
    }
  });

  it("returns one completion a choice, with log-probs that are those of the top list", async () => {
    const completions = await engine.generate([4, 5], { maxTokens: 6, choices: 3, seed: 3n, topLogprobs: 5 });
    expect(completions.map((completion) => completion.choice)).toEqual([0, 1, 2]);
    expect(new Set(completions.map(({ tokens }) => tokens.join()))).toHaveProperty("size", 3);
    for (const { tokens, logprobs, top, finishReason } of completions) {
      expect(finishReason).toBe("length");
      expect(tokens).toHaveLength(6);
      for (const [i, list] of top.entries()) {
        expect(list).toHaveLength(5);
        expect([...list].sort((a, b) => b.logprob - a.logprob)).toEqual(list);
        const same = list.find(({ token }) => token === tokens[i]);
        if (same) expect(same.logprob).toBe(logprobs[i]);
      }
    }
  });

  it("greedy takes the first of the top list, and a stop token ends the choice", async () => {
    const [greedy] = await engine.generate([9, 8, 7], { maxTokens: 12, temperature: 0, topLogprobs: 1 });
    expect([...(greedy as Completion).tokens]).toEqual((greedy as Completion).top.map(([first]) => first?.token));
    const stop = (greedy as Completion).tokens[4] as number;
    const first = (greedy as Completion).tokens.indexOf(stop);
    const [stopped] = await engine.generate([9, 8, 7], { maxTokens: 12, temperature: 0, stopTokenIds: [stop] });
    expect(stopped?.finishReason).toBe("stop");
    expect(stopped?.tokens).toEqual(greedy?.tokens.slice(0, first + 1));
  });

  it("ends one choice when it is told to; the others go on as if nothing had happened", async () => {
    await using long = await model.createEngine({ kvBytes: KV_BYTES, maxContext: 8192 });
    const options = { maxTokens: 3000, choices: 3, seed: 5n };
    const whole = await long.generate([6, 5, 4], options);
    const onTokens = (events: readonly TokenEvent[], endChoice: (choice: number) => void) => {
      if (events.some(({ choice }) => choice === 1)) endChoice(1);
    };
    const [first, ended, last] = await long.generate([6, 5, 4], { ...options, onTokens });
    expect(plain([first as Completion, last as Completion])).toEqual(
      plain([whole[0] as Completion, whole[2] as Completion]),
    );
    expect(ended?.finishReason).toBe("cancelled");
    const length = ended?.tokens.length as number;
    expect(length).toBeLessThan(3000);
    expect([...(ended as Completion).tokens]).toEqual([...(whole[1] as Completion).tokens.slice(0, length)]);
  });

  it("tells how much of the prompt was cached", async () => {
    const prompt = [50, 51, 52, 53, 54, 55];
    const options = { maxTokens: 4, seed: 1n };
    await engine.resetPrefixCache();
    const [first] = await engine.generate(prompt, options);
    const [again] = await engine.generate([...prompt, ...(first as Completion).tokens, 60], options);
    expect(first?.cachedTokens).toBe(0);
    expect(again?.cachedTokens).toBe(prompt.length + 3); // the last token that is sampled is never computed
    await engine.resetPrefixCache();
  });

  it("copies the prompt when it is called", async () => {
    const prompt = Int32Array.of(1, 2, 3);
    const expected = plain(await engine.generate(prompt, { maxTokens: 4 }));
    const pending = engine.generate(prompt, { maxTokens: 4 });
    prompt.fill(50);
    expect(plain(await pending)).toEqual(expected);
  });

  it("counts tokens and prefix hits", async () => {
    await engine.resetPrefixCache();
    const before = engine.stats();
    const prompt = Array.from({ length: 40 }, (_, i) => i);
    await engine.generate(prompt, { maxTokens: 3 });
    await engine.generate(prompt, { maxTokens: 3 });
    const after = engine.stats();
    expect(after.promptTokens - before.promptTokens).toBe(80);
    expect(after.generatedTokens - before.generatedTokens).toBe(6);
    expect(after.prefixHitTokens - before.prefixHitTokens).toBeGreaterThanOrEqual(32);
    expect(after).toMatchObject({ waiting: 0, running: 0 });
    expect(engine.maxContext).toBe(512);
  });
});
