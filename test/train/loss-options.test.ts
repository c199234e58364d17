import { describe, expect, it } from "vitest";
import { resolveConfig } from "../../src/config/load-config.js";
import { lossOptions, needsReference, trainerOptions } from "../../src/train/loss-options.js";

function config(trainerCommon: Record<string, unknown>, data: Record<string, unknown> = {}) {
  const tree = { rollout: { user_workflow: "a->B" }, model: { path: "x" }, trainer_common: trainerCommon, data };
  return resolveConfig(tree, "test").config;
}

describe("lossOptions", () => {
  it("leaves to the preset what the configuration leaves open", () => {
    expect(lossOptions(config({}))).toEqual({ preset: "ajet" });
    expect(lossOptions(config({ algorithm: { preset: "gspo" } }))).toEqual({ preset: "gspo" });
  });

  it("passes on what departs from the preset", () => {
    const algorithm = { preset: "trl-grpo", clip_ratio_high: 0.4, aggregation: "token_mean", std_ddof: 0 };
    expect(lossOptions(config({ algorithm }))).toEqual({
      preset: "trl-grpo",
      clipHigh: 0.4,
      aggregation: "token_mean",
      stdDdof: 0,
    });
  });

  it.each([
    [{}, undefined, undefined, false],
    [{ use_kl_loss: true }, "k3", 0.002, true],
    [{ use_kl_loss: true, kl_loss_type: "low_var_kl", kl_loss_coef: 0.1 }, "k3", 0.1, true],
    [{ use_kl_loss: true, kl_loss_type: "k1" }, "k1", 0.002, true],
    [{ algorithm: { preset: "agentjet" } }, "k3", 0.002, true],
    [{ algorithm: { preset: "agentjet" }, kl_loss_type: "k2", kl_loss_coef: 0.5 }, "k2", 0.5, true],
    [{ algorithm: { preset: "agentjet" }, use_kl_loss: false }, "none", 0, false],
  ])("has KL as %j says", (trainerCommon, kl, klCoef, reference) => {
    const options = lossOptions(config(trainerCommon));
    expect([options.kl, options.klCoef]).toEqual([kl, klCoef]);
    expect(needsReference(config(trainerCommon))).toBe(reference);
    expect(trainerOptions(config(trainerCommon), 7)).toMatchObject({ reference, totalSteps: 7 });
  });

  it("passes on what the backward pass computes again", () => {
    expect(trainerOptions(config({}), 7).recompute).toBe("auto");
    expect(trainerOptions(config({ recompute: "layers" }), 7).recompute).toBe("layers");
    expect(() => config({ recompute: "all" })).toThrow(/trainer_common\.recompute.*"layers"/s);
  });

  it("divides by data.max_response_length where a preset or an option wants it", () => {
    const divisor = (algorithm: Record<string, unknown>) =>
      lossOptions(config({ algorithm }, { max_response_length: 99 })).maxResponseLength;
    expect(divisor({ preset: "dr-grpo" })).toBe(99);
    expect(divisor({ aggregation: "token_sum_fixed" })).toBe(99);
    expect(divisor({})).toBeUndefined();
  });

  it.each([
    [{ kl_loss_coef: 0.1 }, "Set `trainer_common.use_kl_loss` to true"],
    [{ use_kl_loss: false, kl_loss_type: "k1" }, "`trainer_common.kl_loss_type` has no effect"],
    [{ algorithm: { cispo_high: 4 } }, "`trainer_common.algorithm.cispo_high` has no effect"],
    [
      { algorithm: { preset: "cispo", clip_ratio_high: 0.3 } },
      "`trainer_common.algorithm.clip_ratio_high` has no effect",
    ],
    [{ algorithm: { preset: "dr-grpo", std_epsilon: 0.1 } }, "`trainer_common.algorithm.std_epsilon` has no effect"],
    [{ algorithm: { clip_ratio_dual: 0.5 } }, "dual_clip"],
    [{ algorithm: { preset: "cispo", ratio_level: "sequence" } }, "level"],
    [{ algorithm: { preset: "cispo", cispo_low: 6 } }, "cispo_high"],
  ])("refuses %j", (trainerCommon, part) => {
    expect(() => lossOptions(config(trainerCommon))).toThrow(part);
  });
});
