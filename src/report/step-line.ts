import type { EvaluationResult } from "../train/evaluation.js";
import type { StepMetrics } from "../train/step-metrics.js";

/** One line a step for people. */
export function stepLine(metrics: StepMetrics, totalSteps: number): string {
  const value = (key: string) => metrics[key] ?? Number.NaN;
  const width = String(totalSteps).length;
  return [
    `step ${String(metrics.step).padStart(width)}/${totalSteps}`,
    `reward ${value("critic/rewards/mean").toFixed(3)}`,
    `success ${percent(value("critic/success_rate"))}`,
    `${Math.round(value("perf/tokens_per_second"))} tok/s`,
    ...(metrics["actor/grad_norm"] === undefined ? ["nothing to train on"] : updateParts(value)),
    `len ${value("response_length/mean").toFixed(1)}`,
    ...(metrics["rollout/logprob_max_abs_diff"] === undefined ? [] : [`diff ${value("rollout/logprob_max_abs_diff")}`]),
    `${value("timing_s/step").toFixed(2)} s`,
    ...(value("rollout/episodes_dropped") > 0 ? [`dropped ${value("rollout/episodes_dropped")}`] : []),
  ].join("  ");
}

function updateParts(value: (key: string) => number): string[] {
  return [
    `grad ${value("actor/grad_norm").toFixed(2)}`,
    `entropy ${value("actor/entropy").toFixed(3)}`,
    `kl ${value("actor/kl_loss").toFixed(4)}`,
    `clip ${percent(value("actor/pg_clipfrac"))}`,
  ];
}

/** One line an evaluation. */
export function evaluationLine(moment: string, result: EvaluationResult): string {
  const { sampled, greedy, unseen_sampled, unseen_greedy } = result;
  const unseen = unseen_sampled && unseen_greedy;
  return (
    `${moment}: success ${percent(sampled.success_rate)} sampled, ${percent(greedy.success_rate)} greedy on ${sampled.tasks} held-out tasks` +
    (unseen
      ? `; ${percent(unseen_sampled.success_rate)} sampled, ${percent(unseen_greedy.success_rate)} greedy on ${unseen_sampled.tasks} of unseen templates`
      : "")
  );
}

function percent(rate: number): string {
  return Number.isNaN(rate) ? "-" : `${(100 * rate).toFixed(1)} %`;
}
