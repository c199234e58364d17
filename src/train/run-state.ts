import type { EvaluationResult } from "./evaluation.js";

/** Sums over the steps of a run, as they appear in `summary.json`. */
export interface RunTotals {
  wall_seconds: number;
  total_seconds: number;
  logprob_max_abs_diff: number;
  logprobs_compared: number;
  tokens_generated: number;
  tokens_trained: number;
  tokens_trained_unshared: number;
  /** Tokens that all prompts of a step begin with (system prompt and tools): what sharing saves most on. */
  shared_prompt_tokens: number;
  episodes: number;
  episodes_dropped: number;
  /** Episodes in which the clock decided: another run of the same seed may differ from there on. */
  episodes_unrepeatable: number;
  calls_trained: number;
  calls_merged: number;
  calls_dropped: number;
  /** Places where an episode's prompts left the recorded tokens: the token log names message and field. */
  prompt_forks: number;
  /** Dropped calls and episodes by reason. */
  drop_reasons: Record<string, number>;
}

/** What a resumed run needs beside weights and moments: written into each checkpoint. */
export interface RunState {
  format: 1;
  /** Updates done. */
  step: number;
  /** The evaluation after this step is still to come: the run was stopped in it. */
  evaluation_due?: boolean;
  totals: RunTotals;
  /** Evaluations before training; absent when switched off. */
  before?: EvaluationResult;
  /** The best validation so far. */
  best?: { step: number; success_rate: number };
}

/** All zero. */
export function newTotals(): RunTotals {
  return {
    wall_seconds: 0,
    total_seconds: 0,
    logprob_max_abs_diff: 0,
    logprobs_compared: 0,
    tokens_generated: 0,
    tokens_trained: 0,
    tokens_trained_unshared: 0,
    shared_prompt_tokens: 0,
    episodes: 0,
    episodes_dropped: 0,
    episodes_unrepeatable: 0,
    calls_trained: 0,
    calls_merged: 0,
    calls_dropped: 0,
    prompt_forks: 0,
    drop_reasons: {},
  };
}
