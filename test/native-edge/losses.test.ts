import { describe, expect, it } from "vitest";
import { computeAdvantages, grpoLoss, lossMask, lossPresets } from "../../src/native/losses.js";

/** mean and standard deviation with ddof 1. */
function moments(values: number[]): [number, number] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return [mean, Math.sqrt(variance)];
}

describe("computeAdvantages", () => {
  const rewards = [1, 0, 0.5, 2, 2, 7];
  const groups = [4, 4, 4, 9, 9, -1];

  it("normalises within groups and leaves out groups without a difference", () => {
    const { advantages, kept } = computeAdvantages(rewards, groups);
    const [mean, deviation] = moments(rewards.slice(0, 3));
    for (let i = 0; i < 3; i++) {
      expect(advantages[i]).toBeCloseTo(((rewards[i] as number) - mean) / (deviation + 1e-6), 12);
    }
    expect([...advantages.slice(3)]).toEqual([0, 0, 0]);
    expect([...kept]).toEqual([1, 1, 1, 0, 0, 0]);
  });

  it("honours its options", () => {
    const { advantages, kept } = computeAdvantages(Float64Array.from(rewards), Int32Array.from(groups), {
      advantageScale: "none",
      dropEqualGroups: false,
    });
    expect([...advantages]).toEqual([0.5, -0.5, 0, 0, 0, 0]);
    expect([...kept]).toEqual(Array(6).fill(1));
  });

  it.each([
    [[1, Number.NaN], [0, 0], {}],
    [[1, 2], [0], {}],
    [[1, 2], [0, 0.5], {}],
    [[1, 2], [0, 0], { stdDdof: 2 }],
    [[1, 2], [0, 0], { ddof: 1 }],
  ])("refuses %j %j %j", (badRewards, badGroups, options) => {
    expect(() => computeAdvantages(badRewards, badGroups, options as object)).toThrow(
      expect.objectContaining({ name: "NativeError", code: "ERR_AJET_NATIVE_INVALID_ARGUMENT" }),
    );
  });
});

describe("grpoLoss", () => {
  const n = 12;
  const at = (i: number, k: number) => Math.sin(37.7 * i + k); // fixed, irregular
  const inputs = () => ({
    logprobs: Float32Array.from({ length: n }, (_, i) => -1.5 + 0.4 * at(i, 1)),
    oldLogprobs: Float32Array.from({ length: n }, (_, i) => -1.5 + 0.4 * at(i, 2)),
    refLogprobs: Float32Array.from({ length: n }, (_, i) => -1.5 + 0.4 * at(i, 3)),
    entropies: Float32Array.from({ length: n }, (_, i) => 1 + at(i, 4)),
    advantages: Float64Array.from({ length: n }, (_, i) => (i < 5 ? 0.8 : -1.2)),
    rows: Int32Array.from({ length: n }, (_, i) => (i < 5 ? 0 : 1)),
  });

  it("is the mean of clipped ratios for the default preset", () => {
    const { logprobs, oldLogprobs, advantages, rows } = inputs();
    const { clipLow, clipHigh } = lossPresets().ajet;
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const ratio = Math.exp((logprobs[i] as number) - (oldLogprobs[i] as number));
      const advantage = advantages[i] as number;
      const clipped = Math.min(Math.max(ratio, 1 - clipLow), 1 + clipHigh);
      sum -= Math.min(ratio * advantage, clipped * advantage);
    }
    expect(grpoLoss({ logprobs, oldLogprobs, advantages, rows }).loss).toBeCloseTo(sum / n, 6);
  });

  it.each(["ajet", "agentjet", "trl-grpo", "trl-dapo", "verl-grpo", "gspo", "cispo", "sft"] as const)(
    "%s: dLogprobs is the loss's derivative",
    (preset) => {
      const options = { preset, entropyCoef: 0.01 };
      const { dLogprobs, dEntropies } = grpoLoss(inputs(), options);
      const h = 1e-3;
      for (let i = 0; i < n; i++) {
        const shifted = (name: "logprobs" | "entropies", by: number) => {
          const moved = inputs();
          moved[name][i] = (moved[name][i] as number) + by;
          return [grpoLoss(moved, options).loss, moved[name][i] as number] as const;
        };
        for (const [name, derivative] of [
          ["logprobs", dLogprobs],
          ["entropies", dEntropies],
        ] as const) {
          const [[high, x1], [low, x0]] = [shifted(name, h), shifted(name, -h)];
          // CISPO stops the gradient of its weight: there the difference quotient is another function.
          if (preset === "cispo" && name === "logprobs") continue;
          expect(derivative[i]).toBeCloseTo((high - low) / (x1 - x0), 3);
        }
      }
    },
  );

  it.each([
    ["logprobs", new Float64Array(n)],
    ["logprobs", Float32Array.from({ length: n }, () => Number.NaN)],
    ["oldLogprobs", new Float32Array(n - 1)],
    ["rows", Int32Array.from({ length: n }, () => -1)],
    ["advantages", undefined],
    ["surprise", 1],
  ])("refuses %s = %o", (name, value) => {
    expect(() => grpoLoss({ ...inputs(), [name]: value })).toThrow(name === "surprise" ? "`surprise`" : name);
  });

  it("lists the presets in an error about one that does not exist", () => {
    expect(() => grpoLoss(inputs(), { preset: "ppo" as "ajet" })).toThrow("verl-grpo");
  });
});

describe("lossMask", () => {
  const ids = (...tokens: number[]) => Int32Array.from(tokens);

  it("merges the calls of a timeline into one row and masks what was sampled", () => {
    const { rows, fates } = lossMask([
      { episode: 0, prompt: ids(1, 2), sampled: ids(3, 4) },
      { episode: 0, prompt: ids(1, 2, 3, 4, 5), sampled: ids(6) },
      { episode: 0, prompt: ids(1, 2), sampled: ids(9, 9), mask: Uint8Array.of(1, 0) },
      { episode: 1, prompt: ids(1, 2), sampled: ids(3) },
    ]);
    expect(fates).toEqual(["merged", "trained", "trained", "trained"]);
    expect(rows).toEqual([
      { episode: 0, tokens: ids(1, 2, 3, 4, 5, 6), mask: Uint8Array.of(0, 0, 1, 1, 0, 1) },
      { episode: 0, tokens: ids(1, 2, 9, 9), mask: Uint8Array.of(0, 0, 1, 0) },
      { episode: 1, tokens: ids(1, 2, 3), mask: Uint8Array.of(0, 0, 1) },
    ]);
  });

  it("names the call that is wrong", () => {
    const bad = { episode: 0, prompt: ids(), sampled: ids(1) };
    expect(() => lossMask([{ episode: 0, prompt: ids(1), sampled: ids() }, bad])).toThrow("`calls[1].prompt`");
    expect(() => lossMask([{ ...bad, prompt: [1] as unknown as Int32Array }])).toThrow("an Int32Array");
    expect(() => lossMask([{ ...bad, prompt: ids(-1) }])).toThrow("`prompt[0]`");
  });
});
