import { describe, expect, it } from "vitest";
import { MAIN_CHARTS, memoryChart, otherCharts } from "../../src/logview/curves/curve-catalog.js";
import { curveCsv } from "../../src/logview/curves/curve-csv.js";
import { curveSvg, escaped } from "../../src/logview/curves/curve-svg.js";
import { logTicks, rangeOf, short, ticks } from "../../src/logview/curves/scale.js";
import { smoothed } from "../../src/logview/curves/smoothing.js";
import { terminalCurve } from "../../src/report/terminal-curve.js";
import { HOSTILE } from "./run-fixture.js";

describe("axes", () => {
  it.each([
    [0, 1],
    [-3, 7.3],
    [0.0021, 0.0022],
    [1e6, 5e9],
  ])("has a few round numbers between %d and %d", (low, high) => {
    const found = ticks([low, high], 5);
    expect(found.length).toBeGreaterThanOrEqual(2);
    expect(found.length).toBeLessThanOrEqual(7);
    const step = (found[1] as number) - (found[0] as number);
    for (const [i, value] of found.entries()) {
      expect(value).toBeGreaterThanOrEqual(low - step * 1e-6);
      expect(value).toBeLessThanOrEqual(high + step * 1e-6);
      expect(value).toBeCloseTo((found[0] as number) + i * step, 9 - Math.log10(high));
    }
  });

  it("has powers of ten on a log scale", () => {
    expect(logTicks([0.004, 30])).toEqual([0.01, 0.1, 1, 10]);
    expect(logTicks([2, 8]).every((value) => value >= 2 && value <= 8)).toBe(true);
  });

  it("covers what is finite, and what is positive on a log scale", () => {
    expect(
      rangeOf([
        [1, null, Number.NaN],
        [-4, Number.POSITIVE_INFINITY],
      ]),
    ).toEqual([-4, 1]);
    expect(rangeOf([[0, -2, 3, 5]], true)).toEqual([3, 5]);
    expect(rangeOf([[]])).toEqual([0, 1]);
    const [low, high] = rangeOf([[2, 2]]);
    expect(low).toBeLessThan(2);
    expect(high).toBeGreaterThan(2);
  });

  it("writes numbers in few characters", () => {
    for (const value of [0, 1, 0.25, 12_345, -2.71, 1.5e7, 2e10, 0.00001234]) {
      expect(short(value).length).toBeLessThanOrEqual(8);
      expect(Number.parseFloat(short(value))).toBeTypeOf("number");
    }
  });
});

describe("smoothing", () => {
  it("keeps a constant, and what weight 0 gives", () => {
    for (const value of smoothed(Array(20).fill(3), 0.9)) expect(value).toBeCloseTo(3, 12);
    expect(smoothed([1, 5, 2], 0)).toEqual([1, 5, 2]);
  });

  it("is the weighted mean of all values so far", () => {
    const values = [4, -1, 7, 2, 9];
    const weight = 0.7;
    const expected = values.map((_, end) => {
      const weights = values.slice(0, end + 1).map((_, i) => weight ** (end - i));
      const total = weights.reduce((a, b) => a + b);
      return weights.reduce((sum, w, i) => sum + w * (values[i] as number), 0) / total;
    });
    for (const [i, value] of smoothed(values, weight).entries()) expect(value).toBeCloseTo(expected[i] as number, 12);
  });
});

describe("a drawn curve", () => {
  const series = [{ label: HOSTILE, color: "#123456", x: [1, 2, 3, 4, 5], y: [1, 2, null, 4, 3] }];

  it("is well-formed and holds every text as text", () => {
    const svg = curveSvg({ title: HOSTILE, unit: HOSTILE, series });
    expect(svg).not.toMatch(/<(img|script|b)\b/);
    expect(svg.match(/<(\w+)/g)?.every((tag) => ["<svg", "<text", "<tspan", "<path", "<circle"].includes(tag))).toBe(
      true,
    );
    expect(escaped("<&>\"'")).toBe("&#60;&#38;&#62;&#34;&#39;");
  });

  it("breaks its line where a value is missing, and leaves out what a log scale cannot show", () => {
    const line = (svg: string) => /<path d="(M[^"]*)" fill="none" stroke="#123456"/.exec(svg)?.[1] ?? "";
    expect(line(curveSvg({ title: "t", unit: "", series })).match(/M/g)).toHaveLength(2);
    const logged = curveSvg({
      title: "t",
      unit: "",
      log: true,
      series: [{ ...series[0], label: "", color: "#123456", x: [1, 2, 3], y: [0, 1, 10] }],
    });
    expect(line(logged).match(/[ML]/g)).toHaveLength(2);
  });

  it("becomes a table, one line a step, that no spreadsheet runs", () => {
    const other = { label: "=cmd()", color: "", x: [2, 9], y: [0.5, 0.25] };
    const faint = { ...other, faint: true, label: "raw" };
    const lines = curveCsv([{ label: 'a "b", c', color: "", x: [1, 2], y: [1, null] }, other, faint]).split("\r\n");
    expect(lines).toEqual(['step,"a ""b"", c",\'=cmd()', "1,1,", "2,,0.5", "9,,0.25", ""]);
  });
});

describe("the charts", () => {
  it("show every metric once", () => {
    const keys = ["step", "critic/rewards/mean", "actor/lr", "perf/resident_memory_gb", "workflow/x"];
    expect(otherCharts(keys).map(({ id }) => id)).toEqual(["actor/lr", "perf/resident_memory_gb", "workflow/x"]);
    expect(memoryChart(keys)).toMatchObject({ unit: "GB", metrics: [{ key: "perf/resident_memory_gb" }] });
    expect(memoryChart(["actor/lr"])).toBeUndefined();
    const shown = MAIN_CHARTS.flatMap(({ metrics }) => metrics.map(({ key }) => key));
    expect(new Set(shown).size).toBe(shown.length);
  });
});

describe("the curve on the terminal", () => {
  const points = Array.from({ length: 50 }, (_, i) => ({ step: i + 1, value: i / 49 }));

  it("rises from the lower left to the upper right", () => {
    const lines = terminalCurve("reward", points, 40, 6);
    expect(lines[0]).toBe("reward: 0.000 to 1.000");
    expect(lines).toHaveLength(1 + 6 + 2);
    const rows = lines.slice(1, 7).map((line) => line.split("┤")[1] ?? "");
    const columns = rows.map((row) => row.search(/\S/));
    expect(columns).toEqual([...columns].sort((a, b) => b - a));
    expect(Math.max(...rows.map((row) => row.length))).toBe(40);
    expect(lines.at(-1)?.trim()).toMatch(/^1 +50 {2}step$/);
  });

  it("is nothing where there is nothing to see, and level where nothing changes", () => {
    expect(terminalCurve("reward", [])).toEqual([]);
    expect(terminalCurve("reward", [{ step: 1, value: 1 }])).toEqual([]);
    expect(terminalCurve("reward", [{ step: 1, value: Number.NaN }])).toEqual([]);
    const level = terminalCurve(
      "reward",
      points.map(({ step }) => ({ step, value: 2 })),
      10,
      3,
    );
    expect(level.slice(1, 4).filter((line) => (line.split("┤")[1] ?? "") !== "")).toHaveLength(1);
  });
});
