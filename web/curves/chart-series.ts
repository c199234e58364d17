import type { MetricsRow, RunInfo } from "../../src/logview/api-types.js";
import type { ChartSpec } from "../../src/logview/curves/curve-catalog.js";
import type { CurveSeries } from "../../src/logview/curves/curve-svg.js";
import { smoothed } from "../../src/logview/curves/smoothing.js";
import type { RunMetrics } from "../app/live-metrics.js";

/** A run that is drawn. */
export interface DrawnRun {
  run: RunInfo;
  color: string;
  metrics: RunMetrics;
}

/** Lines of each run in a chart of several. */
const MOST_OF_SEVERAL = 2;

/** The lines of a chart, one a run and metric; with smoothing, the raw values stand behind, faint. */
export function chartSeries(spec: ChartSpec, runs: readonly DrawnRun[], smoothing: number): CurveSeries[] {
  return runs.flatMap(({ run, color, metrics }) =>
    // Of several runs, what matters most: more lines than that nobody reads.
    spec.metrics.slice(0, runs.length > 1 ? MOST_OF_SEVERAL : undefined).flatMap(({ key, label, dash }) => {
      const isValidation = /^(val|unseen)/.test(key);
      const { x, y } = column(isValidation ? metrics.validation : metrics.rows, key);
      if (x.length === 0) return [];
      const name = [runs.length > 1 ? run.id : "", label].filter(Boolean).join(" · ");
      const line = { label: name, color, ...(dash ? { dash } : {}), x };
      // Few points far apart are no noise.
      if (smoothing === 0 || isValidation) return [{ ...line, y }];
      const faint = { label: name, color, x, y, faint: true };
      return [faint, { ...line, y: smoothed(y, smoothing) }];
    }),
  );
}

function column(rows: readonly MetricsRow[], key: string): { x: number[]; y: number[] } {
  const known = rows.filter((row) => Number.isFinite(row[key]));
  return { x: known.map(({ step }) => step), y: known.map((row) => row[key] as number) };
}
