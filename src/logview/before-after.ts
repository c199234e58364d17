const RATES = [
  ["held out, sampled", "success_rate"],
  ["held out, greedy", "greedy_success_rate"],
  ["unseen, sampled", "unseen_success_rate"],
  ["unseen, greedy", "unseen_greedy_success_rate"],
] as const;

/** A success rate before and after training, in [0, 1]. */
export interface BeforeAfterRate {
  label: string;
  /** Absent where it was not measured. */
  before: number | undefined;
  after: number;
}

/** The success rates of a run's summary that were measured after training. */
export function beforeAfterRates(summary: Record<string, unknown> | null): BeforeAfterRate[] {
  return RATES.flatMap(([label, key]) => {
    const [before, after] = [summary?.[`${key}_before`], summary?.[`${key}_after`]];
    return typeof after === "number" ? [{ label, before: typeof before === "number" ? before : undefined, after }] : [];
  });
}
