/** A chart: one series for each of its metrics that a run has. */
export interface ChartSpec {
  id: string;
  title: string;
  unit: string;
  metrics: readonly { key: string; label: string; dash?: readonly number[] }[];
  /** Values are shares, shown as percent. */
  isShare?: boolean;
}

/** The charts that stand on top, in this order. A chart none of whose metrics was written is left out. */
export const MAIN_CHARTS: readonly ChartSpec[] = [
  {
    id: "reward",
    title: "Reward",
    unit: "",
    metrics: [{ key: "critic/rewards/mean", label: "mean" }],
  },
  {
    id: "success",
    title: "Success rate",
    unit: "%",
    isShare: true,
    metrics: [
      { key: "critic/success_rate", label: "training" },
      { key: "val/TGC@1", label: "held out", dash: [2, 4] },
      { key: "val_greedy/TGC@1", label: "held out, greedy", dash: [8, 4] },
      { key: "unseen/TGC@1", label: "unseen", dash: [1, 2] },
      { key: "unseen_greedy/TGC@1", label: "unseen, greedy", dash: [12, 3, 2, 3] },
    ],
  },
  one("response-length", "Response length", "tokens", "response_length/mean"),
  one("entropy", "Entropy", "nats", "actor/entropy"),
  one("kl", "KL to the reference", "nats", "actor/kl_loss"),
  one("grad-norm", "Gradient norm", "", "actor/grad_norm"),
  { ...one("clip-fraction", "Clip fraction", "%", "actor/pg_clipfrac"), isShare: true },
  one("tokens-per-second", "Tokens per second", "tokens/s", "perf/tokens_per_second"),
  {
    id: "time",
    title: "Time per phase",
    unit: "s",
    metrics: [
      { key: "timing_s/gen", label: "rollout" },
      { key: "timing_s/update_actor", label: "update", dash: [6, 4] },
      { key: "timing_s/testing", label: "evaluation", dash: [2, 3] },
    ],
  },
];

/** Charts of the metrics that {@link MAIN_CHARTS} does not show: one each, by name; those of memory in one. */
export function otherCharts(keys: Iterable<string>): ChartSpec[] {
  const shown = new Set(MAIN_CHARTS.flatMap(({ metrics }) => metrics.map(({ key }) => key)));
  const others = [...new Set(keys)].filter((key) => key !== "step" && !shown.has(key)).sort();
  return others.map((key) => one(key, key, "", key));
}

/** Memory, whatever of it a run writes. */
export function memoryChart(keys: Iterable<string>): ChartSpec | undefined {
  const found = [...new Set(keys)].filter((key) => /memory|_rss|rss_/.test(key)).sort();
  if (found.length === 0) return undefined;
  const dashes = [undefined, [6, 4], [2, 3], [10, 3, 2, 3]] as const;
  const metrics = found.slice(0, dashes.length).map((key, i) => ({
    key,
    label: key.slice(key.lastIndexOf("/") + 1).replaceAll("_", " "),
    ...(dashes[i] ? { dash: dashes[i] } : {}),
  }));
  return { id: "memory", title: "Memory", unit: unitOfMemory(found[0] as string), metrics };
}

function unitOfMemory(key: string): string {
  return /_gb/.test(key) ? "GB" : /_mb/.test(key) ? "MB" : /bytes/.test(key) ? "bytes" : "";
}

function one(id: string, title: string, unit: string, key: string): ChartSpec {
  return { id, title, unit, metrics: [{ key, label: "" }] };
}
