import type { CurveSeries } from "./curve-svg.js";

/** One line a step, one column a series; what a series lacks is empty. */
export function curveCsv(series: readonly CurveSeries[]): string {
  const lines = series.filter(({ faint }) => !faint);
  const columns = lines.map(({ x, y }) => new Map(x.map((step, i) => [step, y[i] ?? null])));
  const steps = [...new Set(lines.flatMap(({ x }) => x))].sort((a, b) => a - b);
  const rows = steps.map((step) => [step, ...columns.map((column) => column.get(step) ?? "")].join(","));
  return `${[["step", ...lines.map(({ label }) => quoted(label || "value"))].join(","), ...rows].join("\r\n")}\r\n`;
}

/** RFC 4180; a cell that a spreadsheet would take for a formula gets a quote in front. */
function quoted(text: string): string {
  const cell = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
