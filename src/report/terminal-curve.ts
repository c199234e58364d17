/** A value at a step. */
export interface CurvePoint {
  step: number;
  value: number;
}

/** Dots of a Braille character: two columns, four rows. */
const DOTS = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const;

/**
 * A curve for the terminal: Braille dots, the values' range on the left, the steps below.
 * @returns No lines where there are fewer than two points.
 */
export function terminalCurve(title: string, points: readonly CurvePoint[], width = 64, height = 7): string[] {
  const known = points.filter(({ value }) => Number.isFinite(value));
  const [first, last] = [known[0], known.at(-1)];
  if (first === undefined || last === undefined || first.step === last.step) return [];
  const [low, high] = range(known.map(({ value }) => value));
  const cells = Array.from({ length: height }, () => new Uint8Array(width));
  const columns = 2 * width;
  const rows = 4 * height;
  let previous: number | undefined;
  for (let x = 0; x < columns; x++) {
    const step = first.step + (x / (columns - 1)) * (last.step - first.step);
    const row = Math.round((1 - (valueAt(known, step) - low) / (high - low)) * (rows - 1));
    // A steep rise is drawn through, so that it stays one line.
    const from = previous === undefined ? row : previous + Math.sign(row - previous);
    for (let y = Math.min(from, row); y <= Math.max(from, row); y++) setDot(cells, x, y);
    previous = row;
  }
  const labels = [format(high), ...Array<string>(height - 2).fill(""), format(low)];
  const margin = Math.max(...labels.map((label) => label.length));
  const steps = `${first.step}`.padEnd(width - `${last.step}`.length) + last.step;
  return [
    `${title}: ${format(first.value)} to ${format(last.value)}`,
    ...cells.map((row, i) => `${(labels[i] as string).padStart(margin)} ┤${braille(row)}`),
    `${" ".repeat(margin)} └${"─".repeat(width)}`,
    `${" ".repeat(margin)}  ${steps}  step`,
  ];
}

function setDot(cells: readonly Uint8Array[], x: number, y: number): void {
  const row = cells[y >> 2];
  const dot = DOTS[y & 3]?.[x & 1] ?? 0;
  if (row) row[x >> 1] = (row[x >> 1] as number) | dot;
}

function braille(row: Uint8Array): string {
  return Array.from(row, (bits) => (bits === 0 ? " " : String.fromCharCode(0x2800 + bits)))
    .join("")
    .trimEnd();
}

/** Between the two points around a step, in proportion. */
function valueAt(points: readonly CurvePoint[], step: number): number {
  const after = points.findIndex((point) => point.step >= step);
  const b = points[after < 0 ? points.length - 1 : after] as CurvePoint;
  const a = points[Math.max(0, after - 1)] as CurvePoint;
  return a.step === b.step ? b.value : a.value + ((step - a.step) / (b.step - a.step)) * (b.value - a.value);
}

function range(values: readonly number[]): [number, number] {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

function format(value: number): string {
  return value.toFixed(Math.abs(value) >= 100 ? 0 : 3);
}
