import { expect, it } from "vitest";
import { stepLine } from "../../src/report/step-line.js";

const rollout = {
  step: 3,
  "critic/rewards/mean": 0.5,
  "critic/success_rate": 0.25,
  "perf/tokens_per_second": 99.6,
  "response_length/mean": 12,
  "timing_s/step": 1.5,
  "rollout/episodes_dropped": 2,
};

it("has what the update did", () => {
  const update = {
    "actor/grad_norm": 0.5,
    "actor/entropy": 0.25,
    "actor/kl_loss": 0,
    "actor/pg_clipfrac": 0.01,
    "rollout/logprob_max_abs_diff": 0,
  };
  expect(stepLine({ ...rollout, ...update, "rollout/episodes_dropped": 0 }, 20)).toBe(
    "step  3/20  reward 0.500  success 25.0 %  100 tok/s  grad 0.50  entropy 0.250  kl 0.0000  clip 1.0 %  len 12.0  diff 0  1.50 s",
  );
});

it("says so where a step had nothing to train on, as if all episodes were dropped or none asked the model", () => {
  expect(stepLine(rollout, 20)).toBe(
    "step  3/20  reward 0.500  success 25.0 %  100 tok/s  nothing to train on  len 12.0  1.50 s  dropped 2",
  );
});
