import type { Summary } from "../train/summary.js";

const RATES = [
  ["held-out, sampled", "success_rate"],
  ["held-out, greedy", "greedy_success_rate"],
  ["unseen templates, sampled", "unseen_success_rate"],
  ["unseen templates, greedy", "unseen_greedy_success_rate"],
] as const;

/** The end of a run for people: success before and after, and what it took. */
export function summaryTable(summary: Summary): string[] {
  const number = (key: string) => Number(summary[key] ?? 0);
  const count = (key: string) => number(key).toLocaleString("en");
  const width = Math.max(...RATES.map(([label]) => label.length));
  const rates = RATES.filter(([, key]) => summary[`${key}_after`] !== undefined).map(
    ([label, key]) => `${label.padEnd(width)}  ${rate(summary[`${key}_before`])}  ${rate(summary[`${key}_after`])}`,
  );
  return [
    ...(rates.length > 0 ? [`${"success".padEnd(width)}   before    after`, ...rates] : []),
    `${count("steps")} steps in ${number("wall_seconds").toFixed(1)} s (${number("total_seconds").toFixed(1)} s with evaluations), ` +
      `${count("tokens_generated")} tokens generated`,
    `tokens trained: ${count("tokens_trained")}, without sharing ${count("tokens_trained_unshared")} ` +
      `(${number("tokens_unshared_per_trained").toFixed(1)} x; system prompt and tools: ${count("shared_prompt_tokens")} tokens)`,
    `episodes: ${count("episodes")}, ${count("episodes_dropped")} dropped; ` +
      `calls: ${count("calls_trained")} trained, ${count("calls_merged")} merged, ${count("calls_dropped")} dropped`,
    `largest |log-prob of sampler - of trainer| over ${count("logprobs_compared")} tokens: ${number("logprob_max_abs_diff")}`,
  ];
}

function rate(value: unknown): string {
  return (typeof value === "number" ? `${(100 * value).toFixed(1)} %` : "-").padStart(7);
}
