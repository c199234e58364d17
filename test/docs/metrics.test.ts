import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { prometheusName } from "../../src/serve/metrics.js";
import { Ajet, jsonLines, temporaryFolder, tinyRun } from "../cli/ajet.js";
import { decodeSeries } from "../report/loggers/tf-events.js";

const page = readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8");
const dashboard = JSON.parse(readFileSync(new URL("../../docs/grafana-dashboard.json", import.meta.url), "utf8"));
const [steps = "", evaluations = "", prometheus = ""] = page.split(/## validation.jsonl|## Prometheus/);
const folder = temporaryFolder();
const NO_PYTHON = "no-such-python";
let stderr = "";
/** What `/metrics` gave before the run, and once each step was done. */
const scrapes: string[] = [];

/** The first column of the tables in a text. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/^\| `([^`{]+)(?:\{[^`]*\})?` \|/gm)].map(([, name]) => name as string);
}

function linesOf(file: string) {
  return jsonLines(readFileSync(join(folder, "metrics", file), "utf8"));
}

/** Names and label sets of a scrape, with values; histograms under their own name. */
function samplesOf(scrape: string): { name: string; labels: string; value: number }[] {
  return [...scrape.matchAll(/^([a-z]\w*)(?:\{(.*)\})? (\S+)$/gm)].map(([, name, labels, value]) => ({
    name: (name as string).replace(/_(bucket|sum|count)$/, ""),
    labels: labels ?? "",
    value: Number(value),
  }));
}

/** Fetches `/metrics` again and again until the run ends. */
async function scrape(url: string): Promise<void> {
  for (;;) {
    try {
      const text = await (await fetch(url)).text();
      if (text !== scrapes.at(-1)) scrapes.push(text);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

beforeAll(async () => {
  const values = {
    "trainer_common.total_training_steps": 2,
    "trainer_common.val_pass_n": 3,
    "trainer_common.logger": ["console", "tensorboard", "swanlab"],
    "trainer_common.logger_options.python": NO_PYTHON,
  };
  const run = new Ajet(["train", ...tinyRun(folder, "metrics", values)]);
  await run.until(() => /Prometheus: \S+\n/.test(run.stderr));
  const url = /Prometheus: (\S+)/.exec(run.stderr)?.[1] as string;
  const [{ code }] = await Promise.all([run.finished, scrape(url)]);
  stderr = run.stderr;
  expect(stderr).not.toContain("error");
  expect(code).toBe(0);
});

describe("docs/metrics.md", () => {
  it("has the name of every metric that a step logs, and no other", () => {
    const logged = linesOf("metrics.jsonl");
    expect(logged).toHaveLength(2);
    for (const line of logged) {
      expect([...Object.keys(line), "workflow/<name>"].sort()).toEqual(namesIn(steps).sort());
    }
  });

  it("says what each metric is", () => {
    const rows = [...page.matchAll(/^\| `.*$/gm)].map(([row]) => row.split("|"));
    expect(rows.length).toBeGreaterThan(60);
    for (const cells of rows) {
      expect(cells, cells[1]).toHaveLength(6);
      expect(cells[3]).toMatch(/\w{3}/);
    }
  });

  it("has the name of every metric that an evaluation logs, and no other", () => {
    const logged = linesOf("validation.jsonl");
    expect(logged.map(({ step }) => step)).toEqual([0, 2]);
    const names = Object.keys(logged[0]).filter((name) => !/^(step$|val_greedy\/)/.test(name));
    const general = names.map((name) => name.replace(/^val\//, "").replace(/(TGC@|pass_)3/, "$1N"));
    const known = new Set(general.map((name) => name.replace(/pass@\d/, "pass@k")));
    expect([...known].sort()).toEqual(namesIn(evaluations).sort());
    expect(names).toEqual(expect.arrayContaining(["val/pass@1", "val/pass@2", "val/pass@3"]));
    const {
      "val/TGC@3": some,
      "val/pass@3": pass,
      "val/total_tasks": tasks,
      "val/num_pass_3_tasks": solved,
    } = logged[1];
    expect([some, pass]).toEqual([solved / tasks, solved / tasks]);
    expect(logged[1]["val_greedy/pass_n"]).toBe(1);
  });

  it("has the name of every metric that /metrics of a live run gives, and no other", () => {
    const found = new Set(samplesOf(scrapes.at(-1) as string).map(({ name }) => name));
    const logged = [...linesOf("metrics.jsonl"), ...linesOf("validation.jsonl")].flatMap((line) => Object.keys(line));
    const known = new Set([...logged.filter((name) => name !== "step").map(prometheusName), ...namesIn(prometheus)]);
    expect([...found].filter((name) => !known.has(name))).toEqual([]);
    expect(namesIn(prometheus).filter((name) => !found.has(name))).toEqual([]);
    const engine = page.split("\n").find((row) => row.startsWith("| `ajet_engine")) as string;
    for (const [, stat] of (engine.split("|")[3] as string).matchAll(/`(\w+)`/g)) {
      expect(scrapes.at(-1)).toContain(`ajet_engine{stat="${stat}"}`);
    }
  });
});

describe("/metrics of a live run", () => {
  it("gives the numbers of metrics.jsonl, step by step", () => {
    const logged = linesOf("metrics.jsonl");
    for (const line of logged) {
      const live = scrapes.find((text) => text.includes(`\najet_step ${line.step}\n`));
      const values = new Map(samplesOf(live ?? "").map(({ name, value }) => [name, value]));
      for (const [name, value] of Object.entries(line)) expect(values.get(prometheusName(name)), name).toBe(value);
    }
    expect(samplesOf(scrapes[0] as string).some(({ name }) => name === "ajet_step")).toBe(false);
  });
});

describe("docs/grafana-dashboard.json", () => {
  it("asks for metrics, labels and values that a live run has", () => {
    const panels = dashboard.panels as { id: number; targets: { expr: string }[] }[];
    const queries = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    expect(queries.length).toBeGreaterThan(30);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const last = scrapes.filter((text) => text.includes("ajet_val_TGC_1")).at(-1) as string;
    const samples = samplesOf(last);
    for (const expr of [...queries, dashboard.templating.list[1].query]) {
      const names: string[] = expr.match(/\b(ajet|process)_\w+/g) ?? [];
      expect(names.length, expr).toBeGreaterThan(0);
      for (const name of names) expect(last, expr).toMatch(new RegExp(`^${name}[{ ]`, "m"));
      for (const [, stat] of expr.matchAll(/stat="(\w+)"/g)) {
        expect(
          samples.some(({ labels }) => labels.includes(`stat="${stat}"`)),
          expr,
        ).toBe(true);
      }
    }
  });
});

describe("the loggers of the run", () => {
  it("have every number of every step", () => {
    const written = decodeSeries(join(folder, "metrics", "tensorboard"));
    const expected: Record<string, [number, number][]> = {};
    for (const { step, ...values } of [...linesOf("validation.jsonl"), ...linesOf("metrics.jsonl")]) {
      for (const [name, value] of Object.entries(values as Record<string, number>)) {
        expected[name] = [...(expected[name] ?? []), [step, Math.fround(value)]];
      }
    }
    expect(written).toEqual(expected);
  });

  it("that are missing are told of once, and the run goes on", () => {
    expect(stderr.match(/logger swanlab is off/g)).toHaveLength(1);
    expect(stderr).toContain(`\`pip install swanlab\` for ${NO_PYTHON}`);
    expect(readdirSync(join(folder, "metrics"))).toContain("summary.json");
  });
});
