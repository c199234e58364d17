import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PACKAGE_ROOT, packageVersion } from "../../native/package-root.js";
import { TokenLogReader } from "../../report/token-log/reader.js";
import { writeFileAtomically } from "../../train/atomic-file.js";
import type { MetricsRow } from "../api-types.js";
import { beforeAfterRates } from "../before-after.js";
import { ConfinedFolder } from "../confined-folder.js";
import { type ChartSpec, MAIN_CHARTS, memoryChart } from "../curves/curve-catalog.js";
import { curveSvg, escaped } from "../curves/curve-svg.js";
import { readAllRows } from "../metrics-tail.js";
import { readSettings } from "../settings.js";
import { episodeHtml } from "./episode-html.js";
import { tellingEpisodes } from "./telling-episodes.js";

const EPISODES = 10;
const COLOR = "light-dark(#0072b2, #56a9e8)";

/**
 * Writes `report.html` into a run's folder: one file that needs nothing else, for a colleague or an archive.
 * @returns Its path.
 * @throws FileError where it cannot be written, or the pages' style was not built.
 */
export async function writeRunReport(runFolder: string, name: string): Promise<string> {
  const folder = new ConfinedFolder(runFolder);
  const rows = readAllRows(folder, ["metrics.jsonl"]);
  const validation = readAllRows(folder, ["validation.jsonl"]);
  const summary = (folder.readJson(["summary.json"]) ?? {}) as Record<string, unknown>;
  const style = readFileSync(join(PACKAGE_ROOT, "dist/web/report.css"), "utf8");
  const html = [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escaped(name)} · ajet</title><style>${style}</style></head><body><main>`,
    `<header><h1>${escaped(name)}</h1><p class="muted">${escaped(factsLine(summary, rows))}</p></header>`,
    beforeAfter(summary),
    `<section><h2>Curves</h2><div class="report-charts">${charts(rows, validation)}</div></section>`,
    await episodes(join(runFolder, "tokens")),
    settings(readSettings(folder, [])),
    `<footer class="muted">ajet ${escaped(packageVersion())}</footer></main></body></html>\n`,
  ].join("\n");
  const file = join(runFolder, "report.html");
  writeFileAtomically(file, html);
  return file;
}

function factsLine(summary: Record<string, unknown>, rows: readonly MetricsRow[]): string {
  const number = (key: string) => Number(summary[key] ?? 0);
  const last = rows.at(-1);
  return [
    `${number("steps") || (last?.step ?? 0)} steps`,
    `${number("total_seconds").toFixed(0)} s`,
    `${number("episodes").toLocaleString("en")} episodes, ${number("episodes_dropped")} dropped`,
    `${number("tokens_generated").toLocaleString("en")} tokens generated`,
    `log-prob of sampler and trainer differ by at most ${number("logprob_max_abs_diff")}`,
  ].join(" · ");
}

function beforeAfter(summary: Record<string, unknown>): string {
  const rates = beforeAfterRates(summary);
  if (rates.length === 0) return "";
  const bar = (share: number | undefined, kind: string) =>
    share === undefined
      ? "<td>–</td>"
      : `<td><span class="bar"><i class="${kind}" style="width:${(100 * share).toFixed(1)}%"></i></span> ${(100 * share).toFixed(1)} %</td>`;
  const lines = rates.map(
    ({ label, before, after }) => `<tr><th scope="row">${label}</th>${bar(before, "old")}${bar(after, "new")}</tr>`,
  );
  return (
    '<section><h2>Success, before and after</h2><table class="card report-table"><thead><tr><th scope="col">tasks</th>' +
    `<th scope="col">before</th><th scope="col">after</th></tr></thead><tbody>${lines.join("")}</tbody></table></section>`
  );
}

function charts(rows: readonly MetricsRow[], validation: readonly MetricsRow[]): string {
  const memory = memoryChart(Object.keys(rows.at(-1) ?? {}));
  return [...MAIN_CHARTS, ...(memory ? [memory] : [])].map((spec) => chart(spec, rows, validation)).join("");
}

function chart(spec: ChartSpec, rows: readonly MetricsRow[], validation: readonly MetricsRow[]): string {
  const series = spec.metrics.flatMap(({ key, label, dash }) => {
    const known = (/^(val|unseen)/.test(key) ? validation : rows).filter((row) => Number.isFinite(row[key]));
    if (known.length === 0) return [];
    const [x, y] = [known.map(({ step }) => step), known.map((row) => row[key] as number)];
    return [{ label, color: COLOR, ...(dash ? { dash } : {}), x, y }];
  });
  if (series.length === 0) return "";
  return `<figure class="card">${curveSvg({ title: spec.title, unit: spec.unit, series, isShare: spec.isShare ?? false })}</figure>`;
}

/** A run without a token log, or with one that is damaged, still gets its curves. */
async function episodes(folder: string): Promise<string> {
  try {
    await using log = await TokenLogReader.open(folder);
    const telling = await tellingEpisodes(log, EPISODES);
    const parts: string[] = [];
    for (const one of telling) parts.push(episodeHtml(one, await log.episode(one.header.key)));
    if (parts.length === 0) return "";
    return (
      `<section data-palette="seed"><h2>${parts.length} telling episodes</h2><p class="muted report-legend">` +
      '<span class="tok out">yellow</span> outside the loss, <span class="tok in l1">blue</span> in it, ' +
      '<span class="tok in l0">light</span> likely, <span class="tok in l8">dark</span> unlikely.</p>' +
      `${parts.join("\n")}</section>`
    );
  } catch (error) {
    return `<section><h2>Episodes</h2><p class="notice">${escaped((error as Error).message)}</p></section>`;
  }
}

function settings(values: Readonly<Record<string, string>>): string {
  const lines = Object.entries(values).map(
    ([key, value]) =>
      `<tr><th scope="row"><code>${escaped(key)}</code></th><td><code>${escaped(value)}</code></td></tr>`,
  );
  return `<section><h2>Configuration</h2><table class="card report-table settings-table"><tbody>${lines.join("")}</tbody></table></section>`;
}
