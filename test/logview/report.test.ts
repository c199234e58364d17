import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeRunReport } from "../../src/logview/report/run-report.js";
import { tellingEpisodes } from "../../src/logview/report/telling-episodes.js";
import { TokenLogReader } from "../../src/report/token-log/reader.js";
import { temporaryFolder } from "../cli/ajet.js";
import { HOSTILE, makeRun, ownId, withReply } from "./run-fixture.js";

describe("report.html", () => {
  it("is one file that asks for nothing and runs nothing", async () => {
    const run = await makeRun(join(temporaryFolder(), "x"), "run", {
      steps: 6,
      settings: { hostile: HOSTILE },
      summary: { steps: 6, success_rate_before: 0.25, success_rate_after: 0.75, total_seconds: 9 },
      texts: [HOSTILE],
      change: (groups, step) => (step === 1 ? withReply(groups, [ownId(0)], HOSTILE) : groups),
    });
    const file = await writeRunReport(run.path, HOSTILE);
    expect(file).toBe(join(run.path, "report.html"));
    const html = readFileSync(file, "utf8");
    expect(html).toContain("default-src 'none'; style-src 'unsafe-inline'");
    expect(html).not.toMatch(/<(script|img|iframe|link|object|embed|base|form)\b/i);
    expect(html).not.toMatch(/<[^>]*\s(src|href|on\w+)\s*=|url\(|@import/i);
    expect(html.match(/<article/g)).toHaveLength(10);
    expect(html.match(/<figure/g)?.length).toBeGreaterThanOrEqual(5);
    for (const part of ["25.0 %", "75.0 %", "trainer_common.total_training_steps", "tok in l"])
      expect(html).toContain(part);
    // Whatever opens is closed, so that no text has broken out.
    for (const tag of ["article", "span", "pre", "section", "details", "figure", "svg", "td", "code"]) {
      const opened = html.match(new RegExp(`<${tag}[ >]`, "g"))?.length;
      expect([tag, html.match(new RegExp(`</${tag}>`, "g"))?.length]).toEqual([tag, opened]);
    }
  });

  it("does without evaluations, token log and metrics", async () => {
    const run = await makeRun(join(temporaryFolder(), "x"), "run");
    rmSync(run.tokensFolder, { recursive: true });
    rmSync(run.metricsFile);
    const html = readFileSync(await writeRunReport(run.path, "run"), "utf8");
    expect(html).not.toContain("Success, before and after");
    expect(html).toContain("Configuration");
  });

  it("says so where the token log is damaged", async () => {
    const run = await makeRun(join(temporaryFolder(), "x"), "run");
    for (const name of readdirSync(run.tokensFolder)) writeFileSync(join(run.tokensFolder, name), "no log");
    const html = readFileSync(await writeRunReport(run.path, "run"), "utf8");
    expect(html.match(/<article/g)).toBeNull();
    expect(html).toContain("Curves");
  });
});

describe("telling episodes", () => {
  it("are different ones, each for its reason, the bad case among them", async () => {
    const run = await makeRun(join(temporaryFolder(), "x"), "run", { steps: 8 });
    await using log = await TokenLogReader.open(run.tokensFolder);
    const telling = await tellingEpisodes(log, 10);
    expect(new Set(telling.map(({ header }) => header.key)).size).toBe(10);
    const early = telling.find(({ why }) => why.includes("`print`"));
    const { headers } = await log.list({ marks: ["no_print"], sortBy: "step" });
    expect(early?.header.key).toBe(headers[0]?.key);
    expect(telling.find(({ why }) => why === "The last success")?.header.success).toBe(true);
    expect(await tellingEpisodes(log, 2)).toHaveLength(2);
  });
});
