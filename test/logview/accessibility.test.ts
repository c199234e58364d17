import { join } from "node:path";
import { pathToFileURL } from "node:url";
import axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeRunReport } from "../../src/logview/report/run-report.js";
import { temporaryFolder } from "../cli/ajet.js";
import { hasChromium, launchChromium } from "./chromium.mjs";
import { Viewer } from "./client.js";
import { makeRun } from "./run-fixture.js";

const experiments = join(temporaryFolder(), "experiments");
let viewer: Viewer;
let browser: Browser;
let report: string;

const PAGES = {
  "runs, two compared": { hash: "#/runs?pick=one,two", ready: ".settings tbody tr" },
  "curves of two runs": { hash: "#/curves?runs=one,two&smooth=0.5", ready: ".plot canvas" },
  episodes: { hash: "#/episodes?run=one&marks=no_print", ready: ".row .mark" },
  "a group side by side": { hash: "#/episodes?run=one&view=group&step=1&group=0", ready: ".group-column .tok" },
  "a task across steps": { hash: "#/episodes?run=one&view=task&taskId=task-2", ready: ".task-steps .sample-cell" },
  tokens: { hash: "#/tokens?run=one&key=1.0&token=31", ready: ".tok.chosen" },
  "tokens by entropy": { hash: "#/tokens?run=one&key=1.0&color=entropy", ready: ".tok.ent" },
  "tokens by advantage": { hash: "#/tokens?run=one&key=1.0&color=advantage", ready: ".tok:is(.pos, .neg)" },
  "a token tree": { hash: "#/tokens?run=one&key=1.0&view=tree", ready: ".node" },
};

beforeAll(async () => {
  if (!hasChromium) return;
  const run = await makeRun(experiments, "one", { summary: { success_rate_before: 0.25, success_rate_after: 0.75 } });
  await makeRun(experiments, "two", { settings: { trainer_common: { seed: 2 } } });
  report = pathToFileURL(await writeRunReport(run.path, "one")).href;
  viewer = await Viewer.open(experiments, false);
  browser = await launchChromium();
});

afterAll(async () => {
  await browser?.close();
  await viewer?.logview.stop();
});

async function open(url: string, ready: string, colorScheme: "light" | "dark"): Promise<Page> {
  const page = await browser.newPage({ colorScheme, viewport: { width: 1280, height: 860 } });
  page.setDefaultTimeout(100_000); // a loaded machine is slow
  await page.goto(url);
  await page.locator(ready).first().waitFor();
  return page;
}

/** What axe finds that keeps somebody out: rule, element, reason. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations: found } = (await page.evaluate("axe.run({ resultTypes: ['violations'] })")) as axe.AxeResults;
  return found
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target}: ${failureSummary}`));
}

describe.skipIf(!hasChromium).each(["light", "dark"] as const)("axe finds nothing serious, %s", (colorScheme) => {
  it.each(Object.entries(PAGES))("%s", async (_, { hash, ready }) => {
    const page = await open(`${viewer.logview.url}${hash}`, ready, colorScheme);
    expect(await violations(page)).toEqual([]);
    await page.close();
  });

  it("the palette for colour blindness", async () => {
    const page = await open(`${viewer.logview.url}${PAGES.tokens.hash}`, ".tok.chosen", colorScheme);
    await page.getByLabel("palette").selectOption("safe");
    await page.locator("[data-palette=safe]").waitFor();
    expect(await violations(page)).toEqual([]);
    await page.close();
  });

  it("report.html", async () => {
    const page = await open(report, ".episode", colorScheme);
    await page.locator("details").evaluateAll((all) => all.forEach((one) => one.setAttribute("open", "")));
    expect(await violations(page)).toEqual([]);
    await page.close();
  });
});
