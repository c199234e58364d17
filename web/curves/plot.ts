import uPlot from "uplot";
import type { CurveSeries } from "../../src/logview/curves/curve-svg.js";
import { short } from "../../src/logview/curves/scale.js";

/** What a plot is made with; a change of it makes a new one. */
export interface PlotOptions {
  log: boolean;
  isShare: boolean;
  /** Colours of axes and grid. */
  ink: string;
  grid: string;
  /** Steps that are shown; null: all. */
  onZoom: (range: readonly [number, number] | null) => void;
  /** Index into the plot's x values under the cursor; null: none. */
  onCursor: (index: number | null) => void;
}

const HEIGHT = 210;
const FONT = "11px system-ui, sans-serif";

/** x and the series over it, each as long; null where a series has no value. */
export function alignedData(series: readonly CurveSeries[]): uPlot.AlignedData {
  if (series.length === 0) return [[0]];
  return uPlot.join(series.map(({ x, y }) => [x, y] as unknown as uPlot.AlignedData));
}

/** A curve on a canvas, as wide as its place. Dragging zooms, a double click shows everything again. */
export function createPlot(place: HTMLElement, series: readonly CurveSeries[], options: PlotOptions): uPlot {
  const { log, isShare, ink, grid } = options;
  const label = (value: number | null) => (value === null ? "" : isShare ? `${short(100 * value)} %` : short(value));
  const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: FONT };
  return new uPlot(
    {
      width: Math.max(place.clientWidth, 100),
      height: HEIGHT,
      legend: { show: false },
      padding: [8, 12, 0, 0],
      scales: { x: { time: false }, y: log ? { distr: 3 } : { range: yRange } },
      axes: [
        { ...axis, size: 28, grid: { show: false } },
        { ...axis, size: 52, values: (_, splits) => splits.map(label) },
      ],
      cursor: {
        drag: { x: true, y: false, setScale: false },
        points: { size: 7 },
        sync: { key: "ajet" },
        bind: {
          dblclick: () => () => {
            options.onZoom(null);
            return null;
          },
        },
      },
      hooks: {
        setCursor: [(plot) => options.onCursor(plot.cursor.idx ?? null)],
        setSelect: [
          (plot) => {
            if (plot.select.width < 4) return;
            const from = plot.posToVal(plot.select.left, "x");
            options.onZoom([from, plot.posToVal(plot.select.left + plot.select.width, "x")]);
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          },
        ],
      },
      series: [{}, ...series.map(line)],
    },
    alignedData(series),
    place,
  );
}

/** A little room above and below; a series that never changes is a line in the middle. */
function yRange(_: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1];
  const margin = high > low ? (high - low) * 0.06 : Math.abs(low) / 2 || 0.5;
  return [low >= 0 && low < margin ? Math.min(0, low) - (high > low ? 0 : margin) : low - margin, high + margin];
}

function line({ color, dash, faint, x }: CurveSeries): uPlot.Series {
  return {
    stroke: color,
    width: faint ? 1 : 1.75,
    alpha: faint ? 0.3 : 1,
    spanGaps: true,
    points: { show: x.length <= 3, size: 6 },
    ...(dash ? { dash: [...dash] } : {}),
  };
}
