import type { EvaluationResult, EvaluationTasks } from "./evaluation.js";
import type { RunState } from "./run-state.js";

/** `summary.json` of a training run. */
export type Summary = Record<string, unknown>;

/** Counts and rates of a finished run; rates that were not measured are absent. */
export function summarise(
  project: string,
  state: RunState,
  held: EvaluationTasks,
  after: EvaluationResult | undefined,
): Summary {
  const { totals, before } = state;
  return {
    project,
    steps: state.step,
    ...totals,
    ...rates("before", before),
    ...rates("after", after),
    validation_tasks: held.validation.length,
    unseen_tasks: held.unseen.length,
    tokens_unshared_per_trained: totals.tokens_trained > 0 ? totals.tokens_trained_unshared / totals.tokens_trained : 0,
    ...(state.best ? { best_step: state.best.step } : {}),
  };
}

function rates(moment: "before" | "after", result?: EvaluationResult): Record<string, number> {
  if (result === undefined) return {};
  return {
    [`success_rate_${moment}`]: result.sampled.success_rate,
    [`greedy_success_rate_${moment}`]: result.greedy.success_rate,
    ...(result.unseen_sampled ? { [`unseen_success_rate_${moment}`]: result.unseen_sampled.success_rate } : {}),
    ...(result.unseen_greedy ? { [`unseen_greedy_success_rate_${moment}`]: result.unseen_greedy.success_rate } : {}),
  };
}
