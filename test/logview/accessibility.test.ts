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

async function open(url: string, ready: string, colorScheme: "light" | "dark" = "light"): Promise<Page> {
  const page = await browser.newPage({ colorScheme, viewport: { width: 1280, height: 860 } });
  page.setDefaultTimeout(100_000); // a loaded machine is slow
  await page.goto(url);
  await page.locator(ready).first().waitFor();
  return page;
}

/** What axe finds that keeps somebody out: rule, element, reason. The theme changes nothing but colours. */
async function violations(page: Page, colorScheme: "light" | "dark"): Promise<string[]> {
  await page.evaluate(axe.source);
  const rules = colorScheme === "dark" ? ", runOnly: { type: 'rule', values: ['color-contrast'] }" : "";
  const { violations: found } = await page.evaluate<axe.AxeResults>(`axe.run({ resultTypes: ['violations']${rules} })`);
  return found
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target}: ${failureSummary}`));
}

describe.skipIf(!hasChromium).each(["light", "dark"] as const)("axe finds nothing serious, %s", (colorScheme) => {
  it("on the pages", async () => {
    const page = await open(viewer.logview.url, ".run", colorScheme);
    for (const [name, { hash, ready }] of Object.entries(PAGES)) {
      await page.evaluate((target) => {
        location.hash = target;
      }, hash);
      await page.locator(ready).first().waitFor();
      expect([name, ...(await violations(page, colorScheme))]).toEqual([name]);
    }
    await page.close();
  });

  it("in the palette for colour blindness", async () => {
    const page = await open(`${viewer.logview.url}${PAGES.tokens.hash}`, ".tok.chosen", colorScheme);
    await page.getByLabel("palette").selectOption("safe");
    await page.locator("[data-palette=safe]").waitFor();
    expect(await violations(page, colorScheme)).toEqual([]);
    await page.close();
  });

  it("in report.html, which follows the system", async () => {
    const page = await open(report, ".episode", colorScheme);
    await page.locator("details").evaluateAll((all) => {
      for (const one of all) one.setAttribute("open", "");
    });
    const ground = "Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])";
    expect((await page.evaluate<number>(ground)) < 60).toBe(colorScheme === "dark");
    expect(await violations(page, colorScheme)).toEqual([]);
    await page.close();
  });
});

describe.skipIf(!hasChromium)("keys alone", () => {
  /** Goes on by Tab until an element that matches has the focus; whatever has it on the way shows that it has. */
  async function tabTo(page: Page, selector: string): Promise<void> {
    for (let presses = 0; presses < 60; presses++) {
      await page.keyboard.press("Tab");
      const [isFound, isShown] = await page.evaluate((wanted) => {
        const focused = document.activeElement as HTMLElement;
        // A radio button is shown by its label.
        const seen = focused.matches("input[type=radio]") ? (focused.closest("label") as HTMLElement) : focused;
        return [focused.matches(wanted), getComputedStyle(seen).outlineStyle !== "none" || seen === document.body];
      }, selector);
      expect(isShown, `focus on the way to ${selector}`).toBe(true);
      if (isFound) return;
    }
    throw new Error(`Expected to come to ${selector} by Tab`);
  }

  it("lead from the runs to an episode, to a token, and back to the row", async () => {
    const page = await open(viewer.logview.url, ".run");
    await tabTo(page, ".run-links a[href^='#/episodes?run=one']");
    await page.keyboard.press("Enter");
    await page.locator(".row .badge").first().waitFor();
    expect(await page.evaluate("document.activeElement.id")).toBe("content");
    await tabTo(page, "[role=grid]");
    for (let i = 0; i < 2; i++) await page.keyboard.press("ArrowDown");
    const grid = page.getByRole("grid");
    const row = await grid.getAttribute("aria-activedescendant");
    expect(row).toBe("row-2");
    expect(await page.locator(`#${row}`).getAttribute("aria-selected")).toBe("true");
    await page.keyboard.press("Enter");
    await page.locator(".line .tok").first().waitFor();
    await tabTo(page, ".conversation");
    for (const key of ["Home", "ArrowRight", "ArrowRight"]) await page.keyboard.press(key);
    await page.locator(".tok.chosen[data-t='2']").waitFor();
    expect(await page.locator(".unseen[aria-live]").innerText()).toMatch(/^Token 2: ".*", id \d+, outside: prompt$/);
    await expect.poll(() => page.url()).toContain("token=2");
    await page.goBack();
    await page.locator("#row-2.active").waitFor();
    await page.close();
  });

  it("that are held down move on without an end, and the address follows", async () => {
    const page = await open(`${viewer.logview.url}${PAGES.tokens.hash}`, ".tok.chosen");
    await page.locator(".conversation").focus();
    await page.keyboard.press("Home");
    // In ten seconds a browser takes 200 changes of the address.
    await page.evaluate(async () => {
      for (let press = 0; press < 261; press++) {
        const key = press % 2 === 0 ? "ArrowRight" : "ArrowLeft";
        document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        await new Promise((drawn) => setTimeout(drawn));
      }
    });
    await page.locator(".tok.chosen[data-t='1']").waitFor();
    await expect.poll(() => page.url()).toMatch(/token=1$/);
    await page.close();
  });
});
