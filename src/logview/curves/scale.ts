/** From the smallest to the largest value; widened where they are equal. */
export type Range = readonly [number, number];

/** The range of all finite values; with `log`, of the positive ones. [0, 1] where there are none. */
export function rangeOf(lists: readonly (readonly (number | null)[])[], log = false): Range {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const list of lists) {
    for (const value of list) {
      if (value === null || !Number.isFinite(value) || (log && value <= 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return log ? [0.1, 1] : [0, 1];
  if (low < high) return [low, high];
  const margin = Math.abs(low) > 0 ? Math.abs(low) / 2 : 0.5;
  return [low - margin, high + margin];
}

/** Round numbers over a range, about as many as asked for. */
export function ticks([low, high]: Range, count: number): number[] {
  const rough = (high - low) / Math.max(1, count);
  if (!(rough > 0) || !Number.isFinite(rough)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Powers of ten over a range; round numbers where it holds fewer than two. */
export function logTicks(range: Range): number[] {
  const first = Math.ceil(Math.log10(range[0]) - 1e-9);
  const last = Math.floor(Math.log10(range[1]) + 1e-9);
  if (last <= first) return ticks(range, 4).filter((value) => value > 0);
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

/** A number in few characters. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e9) return `${Number((value / 1e9).toPrecision(4))}G`;
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(4))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(4))}k`;
  if (size < 1e-3) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}
