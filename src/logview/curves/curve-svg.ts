import { logTicks, type Range, rangeOf, short, ticks } from "./scale.js";

/** A line of a drawn curve; `x` ascends, and a null is a gap. */
export interface CurveSeries {
  label: string;
  color: string;
  dash?: readonly number[];
  /** Drawn pale, and left out of the legend: what another line smooths. */
  faint?: boolean;
  x: readonly number[];
  y: readonly (number | null)[];
}

/** What is drawn. */
export interface CurveDrawing {
  title: string;
  unit: string;
  series: readonly CurveSeries[];
  log?: boolean;
  isShare?: boolean;
  xRange?: Range;
  width?: number;
  height?: number;
}

const MARGIN = { top: 46, right: 16, bottom: 30, left: 56 };

/** A curve as a picture of its own, with title, axes and legend. Text and lines take `currentColor`. */
export function curveSvg(drawing: CurveDrawing): string {
  const { title, unit, series, log = false, width = 480, height = 270 } = drawing;
  const xRange = drawing.xRange ?? rangeOf(series.map(({ x }) => x));
  const yRange = padded(
    rangeOf(
      series.map((line) => within(line, xRange)),
      log,
    ),
    log,
  );
  const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  const toX = (x: number) => MARGIN.left + ((x - xRange[0]) / (xRange[1] - xRange[0])) * inner.width;
  const map = log ? Math.log10 : (value: number) => value;
  const [low, high] = [map(yRange[0]), map(yRange[1])];
  const toY = (y: number) => MARGIN.top + inner.height * (1 - (map(y) - low) / (high - low));
  const label = (value: number) => (drawing.isShare ? `${short(100 * value)} %` : short(value));
  const yTicks = log ? logTicks(yRange) : ticks(yRange, 5);
  const right = MARGIN.left + inner.width;
  const bottom = MARGIN.top + inner.height;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img"`,
    ` font-family="system-ui, sans-serif" font-size="11" fill="currentColor" aria-label="${escaped(title)}">`,
    `<text x="12" y="18" font-size="13" font-weight="600">${escaped(title)}${unit && !drawing.isShare ? ` <tspan font-weight="400" opacity="0.65">${escaped(unit)}</tspan>` : ""}</text>`,
    legend(series, width),
    ...yTicks.map(
      (y) =>
        `<path d="M${MARGIN.left} ${fixed(toY(y))}H${right}" stroke="currentColor" stroke-opacity="0.12"/>` +
        `<text x="${MARGIN.left - 8}" y="${fixed(toY(y) + 4)}" text-anchor="end" opacity="0.7">${label(y)}</text>`,
    ),
    ...ticks(xRange, 6).map(
      (x) => `<text x="${fixed(toX(x))}" y="${bottom + 18}" text-anchor="middle" opacity="0.7">${short(x)}</text>`,
    ),
    `<path d="M${MARGIN.left} ${bottom}H${right}" stroke="currentColor" stroke-opacity="0.4"/>`,
    ...series.map((line) => path(line, xRange, log, toX, toY)),
    "</svg>",
  ].join("");
}

function path(
  { x, y, color, dash, faint }: CurveSeries,
  xRange: Range,
  log: boolean,
  toX: (x: number) => number,
  toY: (y: number) => number,
): string {
  let d = "";
  let isOpen = false;
  let points = 0;
  for (const [i, value] of y.entries()) {
    const at = x[i] as number;
    if (value === null || !Number.isFinite(value) || (log && value <= 0) || at < xRange[0] || at > xRange[1]) {
      isOpen = false;
      continue;
    }
    d += `${isOpen ? "L" : "M"}${fixed(toX(at))} ${fixed(toY(value))}`;
    isOpen = true;
    points++;
  }
  const stroke = `stroke="${color}" stroke-width="${faint ? 1 : 1.75}"${faint ? ' stroke-opacity="0.3"' : ""}`;
  const dashes = dash ? ` stroke-dasharray="${dash.join(" ")}"` : "";
  const few = points <= 3 ? dots(x, y, color, toX, toY) : "";
  return `<path d="${d}" fill="none" ${stroke} stroke-linejoin="round"${dashes}/>${few}`;
}

/** Two or three points are easily overlooked as a line. */
function dots(
  x: readonly number[],
  y: readonly (number | null)[],
  color: string,
  toX: (x: number) => number,
  toY: (y: number) => number,
): string {
  const known = y.flatMap((value, i) => (value === null ? [] : [[x[i] as number, value] as const]));
  return known
    .map(([a, b]) => `<circle cx="${fixed(toX(a))}" cy="${fixed(toY(b))}" r="2.5" fill="${color}"/>`)
    .join("");
}

function legend(series: readonly CurveSeries[], width: number): string {
  let x = 12;
  const entries = series
    .filter(({ faint, label }) => !faint && label !== "")
    .map(({ label, color, dash }) => {
      const at = x;
      x += 31 + label.length * 5.9;
      const dashes = dash ? ` stroke-dasharray="${dash.join(" ")}"` : "";
      return at > width - 40
        ? ""
        : `<path d="M${at} 32h18" stroke="${color}" stroke-width="2"${dashes}/><text x="${at + 23}" y="36" opacity="0.8">${escaped(label)}</text>`;
    });
  return entries.join("");
}

function within({ x, y }: CurveSeries, [from, to]: Range): (number | null)[] {
  return y.filter((_, i) => (x[i] as number) >= from && (x[i] as number) <= to);
}

function padded([low, high]: Range, log: boolean): Range {
  if (log) return low === high ? [low / 2, high * 2] : [low, high];
  const margin = (high - low) * 0.06;
  return [low >= 0 && low - margin < 0 ? 0 : low - margin, high + margin];
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** A text within XML or HTML, attributes included. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`).replace(CONTROL, "\uFFFD");
}

/** Characters that XML does not allow, escaped or not. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is about them
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;
