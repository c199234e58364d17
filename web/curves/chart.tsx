import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import type { ChartSpec } from "../../src/logview/curves/curve-catalog.js";
import { curveCsv } from "../../src/logview/curves/curve-csv.js";
import { type CurveSeries, curveSvg } from "../../src/logview/curves/curve-svg.js";
import { short } from "../../src/logview/curves/scale.js";
import { cssColor, type Theme } from "../app/theme.js";
import { curvePng, download } from "./downloads.js";
import { alignedData, createPlot } from "./plot.js";

/** Steps that are shown; null: all. */
export type Zoom = readonly [number, number] | null;

interface ChartProps {
  spec: ChartSpec;
  series: readonly CurveSeries[];
  log: boolean;
  theme: Theme;
  zoom: Zoom;
  onZoom: (zoom: Zoom) => void;
}

/** One chart with its legend, its values under the cursor, and its downloads. */
export function Chart({ spec, series, log, theme, zoom, onZoom }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const [cursor, setCursor] = useState<number | null>(null);
  const data = useMemo(() => alignedData(series), [series]);
  const isShare = spec.isShare ?? false;
  const shape = series.map(({ label, color, faint, x }) => `${label} ${color} ${faint} ${x.length <= 3}`).join("\n");
  const latest = useRef({ series, onZoom });
  latest.current = { series, onZoom };

  useLayoutEffect(() => {
    if (!place.current) return undefined;
    const made = createPlot(place.current, latest.current.series, {
      log,
      isShare,
      ink: cssColor("--muted"),
      grid: cssColor("--line"),
      onZoom: (range) => latest.current.onZoom(range),
      onCursor: setCursor,
    });
    plot.current = made;
    const resize = new ResizeObserver(([entry]) => {
      if (entry) made.setSize({ width: Math.max(100, entry.contentRect.width), height: made.height });
    });
    resize.observe(place.current);
    return () => {
      resize.disconnect();
      made.destroy();
    };
  }, [shape, log, isShare, theme]);

  useEffect(() => {
    const made = plot.current;
    if (!made) return;
    made.batch(() => {
      made.setData(data, zoom === null);
      if (zoom) made.setScale("x", { min: zoom[0], max: zoom[1] });
    });
  }, [data, zoom, shape, log, theme]);

  const onKeyDown = (event: KeyboardEvent) => {
    const made = plot.current;
    if (!made) return;
    const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (move !== undefined) {
      event.preventDefault();
      moveCursor(made, (cursor ?? data[0].length - 1) + move);
    } else if (event.key === "Escape") onZoom(null);
  };
  return (
    <figure class="chart card">
      <figcaption>
        <h2>
          {spec.title} {spec.unit && !isShare && <small>{spec.unit}</small>}
        </h2>
        <Downloads spec={spec} series={series} log={log} zoom={zoom} />
      </figcaption>
      <Legend series={series} data={data} cursor={cursor} isShare={isShare} />
      <div
        class="plot"
        ref={place}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys move the cursor
        tabIndex={0}
        role="img"
        aria-label={description(spec, series)}
        onKeyDown={onKeyDown}
      />
    </figure>
  );
}

function moveCursor(plot: uPlot, index: number): void {
  const xs = plot.data[0];
  const x = xs[Math.max(0, Math.min(xs.length - 1, index))];
  if (x !== undefined) plot.setCursor({ left: plot.valToPos(x, "x"), top: plot.bbox.height / 4 });
}

function description({ title }: ChartSpec, series: readonly CurveSeries[]): string {
  const lines = series
    .filter(({ faint }) => !faint)
    .map(({ label, x, y }) => {
      const ends = `${short(y[0] ?? Number.NaN)} at step ${x[0]} to ${short(y.at(-1) ?? Number.NaN)} at step ${x.at(-1)}`;
      return `${label}${label ? ": " : ""}${x.length} points from ${ends}`;
    });
  return `${title}. ${lines.join("; ")}. Left and right move along it.`;
}

interface LegendProps {
  series: readonly CurveSeries[];
  data: uPlot.AlignedData;
  cursor: number | null;
  isShare: boolean;
}

function Legend({ series, data, cursor, isShare }: LegendProps) {
  const index = cursor ?? data[0].length - 1;
  // Without a cursor, each line's last value: runs may have come to different steps.
  const lastSteps = new Set(series.map(({ x }) => x.at(-1)));
  const where = cursor === null && lastSteps.size > 1 ? "last" : `step ${short(data[0][index] ?? 0)}`;
  const show = (value: number | null | undefined) =>
    value === null || value === undefined ? "–" : isShare ? `${(100 * value).toFixed(1)} %` : short(value);
  return (
    <p class="legend" aria-live={cursor === null ? "off" : "polite"}>
      <span class="muted">{where}</span>
      {series.map((line, i) =>
        line.faint ? null : (
          <span key={line.label}>
            <svg width="18" height="8" aria-hidden="true">
              <line
                x2="18"
                y1="4"
                y2="4"
                stroke={line.color}
                stroke-width="2.5"
                stroke-dasharray={line.dash?.join(" ")}
              />
            </svg>
            {line.label} <b>{show(cursor === null ? lastOf(line) : (data[i + 1]?.[index] as number | null))}</b>
          </span>
        ),
      )}
    </p>
  );
}

function lastOf({ y }: CurveSeries): number | null {
  return y.at(-1) ?? null;
}

function Downloads({ spec, series, log, zoom }: Pick<ChartProps, "spec" | "series" | "log" | "zoom">) {
  const drawing = {
    title: spec.title,
    unit: spec.unit,
    series,
    log,
    isShare: spec.isShare ?? false,
    width: 720,
    height: 380,
    ...(zoom ? { xRange: zoom } : {}),
  };
  const save = {
    PNG: async () => download(`${spec.id}.png`, await curvePng(drawing)),
    SVG: () => download(`${spec.id}.svg`, new Blob([curveSvg(drawing)], { type: "image/svg+xml" })),
    CSV: () => download(`${spec.id}.csv`, new Blob([curveCsv(series)], { type: "text/csv" })),
  };
  return (
    <span class="downloads">
      {Object.entries(save).map(([name, action]) => (
        <button
          key={name}
          type="button"
          class="quiet"
          aria-label={`${spec.title} as ${name}`}
          onClick={() => void action()}
        >
          {name}
        </button>
      ))}
    </span>
  );
}
