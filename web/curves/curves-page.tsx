import { useMemo, useState } from "preact/hooks";
import type { RunInfo } from "../../src/logview/api-types.js";
import { type ChartSpec, MAIN_CHARTS, memoryChart, otherCharts } from "../../src/logview/curves/curve-catalog.js";
import { curveCsv } from "../../src/logview/curves/curve-csv.js";
import { useLiveMetrics } from "../app/live-metrics.js";
import { setParams, splitIds } from "../app/route.js";
import { lineColor, type Theme } from "../app/theme.js";
import { Chart, type Zoom } from "./chart.js";
import { chartSeries, type DrawnRun } from "./chart-series.js";
import { download } from "./downloads.js";
import { RunPicker } from "./run-picker.js";

interface CurvesProps {
  runs: readonly RunInfo[];
  params: URLSearchParams;
  theme: Theme;
  /** Drawn where the link names none. */
  fallback: string | null;
}

/** All series of one or several runs. */
export function CurvesPage({ runs, params, theme, fallback }: CurvesProps) {
  const asked = splitIds(params.get("runs"));
  const chosen = (asked.length > 0 || fallback === null ? asked : [fallback]).flatMap(
    (id) => runs.find((run) => run.id === id) ?? [],
  );
  const smoothing = share(params.get("smooth"));
  const log = params.get("log") === "1";
  const [zoom, setZoom] = useState<Zoom>(null);
  const metrics = useLiveMetrics(chosen);
  const drawn: DrawnRun[] = chosen.flatMap((run, i) => {
    const found = metrics.get(run.id);
    return found ? [{ run, color: lineColor(theme, i), metrics: found }] : [];
  });
  const keys = new Set(drawn.flatMap(({ metrics: { rows } }) => Object.keys(rows.at(-1) ?? {})));
  const memory = memoryChart(keys);
  const main = [...MAIN_CHARTS, ...(memory ? [memory] : [])];
  const shown = new Set(memory?.metrics.map(({ key }) => key));
  const others = otherCharts(keys).filter(({ id }) => !shown.has(id));
  const settings = { drawn, smoothing, log, theme, zoom, onZoom: setZoom };
  return (
    <section>
      <div class="page-head">
        <h1>Curves</h1>
        <RunPicker runs={runs} chosen={chosen.map(({ id }) => id)} theme={theme} />
      </div>
      <div class="toolbar">
        <label>
          smoothing
          <input
            type="range"
            min="0"
            max="0.98"
            step="0.02"
            value={smoothing}
            onInput={(event) =>
              setParams({ smooth: event.currentTarget.value === "0" ? null : event.currentTarget.value })
            }
          />
          <output>{smoothing.toFixed(2)}</output>
        </label>
        <label>
          <input type="checkbox" checked={log} onChange={() => setParams({ log: log ? null : 1 })} /> log scale
        </label>
        <button type="button" disabled={zoom === null} onClick={() => setZoom(null)}>
          All steps
        </button>
        <button type="button" onClick={() => saveAll(drawn, [...main, ...others])}>
          All as CSV
        </button>
        <span class="hint">Drag over a curve to zoom, double-click for all of it.</span>
      </div>
      <div class="charts">
        {main.map((spec) => (
          <ChartOf key={spec.id} spec={spec} {...settings} />
        ))}
      </div>
      {others.length > 0 && <Others charts={others} settings={settings} />}
    </section>
  );
}

type Settings = Omit<Parameters<typeof ChartOf>[0], "spec">;

/** Drawn when they are opened: there are dozens. */
function Others({ charts, settings }: { charts: readonly ChartSpec[]; settings: Settings }) {
  const groups = new Map<string, ChartSpec[]>();
  for (const spec of charts) {
    const prefix = spec.id.split("/")[0] as string;
    groups.set(prefix, [...(groups.get(prefix) ?? []), spec]);
  }
  return (
    <>
      <h2 class="section">Further series</h2>
      {[...groups].map(([name, specs]) => (
        <Group key={name} name={name} specs={specs} settings={settings} />
      ))}
    </>
  );
}

function Group({ name, specs, settings }: { name: string; specs: readonly ChartSpec[]; settings: Settings }) {
  const [open, setOpen] = useState(false);
  return (
    <details class="group" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        {name} <span class="muted">{specs.length}</span>
      </summary>
      {open && (
        <div class="charts">
          {specs.map((spec) => (
            <ChartOf key={spec.id} spec={spec} {...settings} />
          ))}
        </div>
      )}
    </details>
  );
}

interface ChartOfProps {
  spec: ChartSpec;
  drawn: readonly DrawnRun[];
  smoothing: number;
  log: boolean;
  theme: Theme;
  zoom: Zoom;
  onZoom: (zoom: Zoom) => void;
}

function ChartOf({ spec, drawn, smoothing, ...rest }: ChartOfProps) {
  const version = drawn
    .map(({ run, color, metrics: { rows, validation } }) =>
      [run.id, color, rows.length, rows.at(-1)?.step, validation.length].join(),
    )
    .join("\n");
  const series = useMemo(() => chartSeries(spec, drawn, smoothing), [spec.id, version, smoothing]);
  if (series.length === 0) return null;
  return <Chart spec={spec} series={series} {...rest} />;
}

function saveAll(drawn: readonly DrawnRun[], charts: readonly ChartSpec[]): void {
  const series = charts.flatMap(({ metrics }) =>
    metrics.flatMap((metric) => {
      const spec = { id: metric.key, title: metric.key, unit: "", metrics: [{ key: metric.key, label: metric.key }] };
      return chartSeries(spec, drawn, 0);
    }),
  );
  download("metrics.csv", new Blob([curveCsv(series)], { type: "text/csv" }));
}

function share(text: string | null): number {
  const value = Number(text ?? 0);
  return value > 0 && value < 1 ? value : 0;
}
