import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EpisodeReply, EpisodesReply } from "../../src/logview/api-types.js";
import type { RunFolder } from "../../src/train/run-folder.js";
import { temporaryFolder } from "../cli/ajet.js";
import { CHROMIUM, hasChromium, launchChromium } from "./chromium.mjs";
import { Viewer } from "./client.js";
import { appendMetrics, HOSTILE, makeRun, ownId, rewardOf, withReply } from "./run-fixture.js";

if (!hasChromium)
  console.warn(`The tests of the pages are skipped: there is no ${CHROMIUM} (apt-get install chromium)`);

const LONG = 32_000;
const experiments = join(temporaryFolder(), "experiments");
let viewer: Viewer;
let browser: Browser;
let page: Page;
let run: RunFolder;
/** Addresses that were asked for. */
let asked: string[] = [];
/** What the pages complained about. */
let complaints: string[] = [];

beforeAll(async () => {
  if (!hasChromium) return;
  const words = Array.from({ length: LONG }, (_, i) => ownId(i % 50));
  const texts = [HOSTILE, ...Array.from({ length: 49 }, (_, i) => (i % 12 === 0 ? " line\n" : ` word${i}`))];
  run = await makeRun(experiments, "long", {
    texts,
    settings: { key: "plain", gone: 1 },
    change: (groups, step) => {
      if (step === 1) return withReply(groups, words, "a long one");
      return step === 2 ? withReply(groups, [ownId(0), ownId(1)], HOSTILE) : groups;
    },
  });
  await makeRun(experiments, HOSTILE.replaceAll(/[/\0]/g, ""), { settings: { key: HOSTILE }, steps: 2 });
  viewer = await Viewer.open(experiments, false);
  browser = await launchChromium();
});

afterAll(async () => {
  await browser?.close();
  await viewer?.logview.stop();
});

async function open(hash: string, colorScheme: "light" | "dark" = "light"): Promise<void> {
  asked = [];
  complaints = [];
  page = await browser.newPage({ colorScheme, viewport: { width: 1280, height: 860 } });
  page.setDefaultTimeout(100_000); // a loaded machine is slow
  page.on("request", (request) => asked.push(request.url()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("dialog", (dialog) => complaints.push(`dialog ${dialog.message()}`));
  await page.goto(`${viewer.logview.url}${hash}`);
}

/** Nothing ran that came with the data, and nothing was asked of anybody else. */
async function expectQuiet(): Promise<void> {
  expect(complaints).toEqual([]);
  expect(await page.evaluate("window.hacked")).toBeUndefined();
  const origin = new URL(viewer.logview.url).origin;
  expect(asked.filter((url) => !url.startsWith(origin) && !/^(data|blob):/.test(url))).toEqual([]);
  await page.close();
}

/** Pixels between two elements, one above the other. */
async function gap(one: Locator, other: Locator): Promise<number> {
  const [a, b] = [await one.boundingBox(), await other.boundingBox()];
  if (!a || !b) return Number.POSITIVE_INFINITY;
  return Math.min(Math.abs(b.y - a.y - a.height), Math.abs(a.y - b.y - b.height));
}

describe.skipIf(!hasChromium)("the pages", () => {
  it("Runs: state, figures, and what two runs differ in", async () => {
    await open("#/runs");
    await page.locator(".run").nth(1).waitFor();
    expect(await page.locator(".run").count()).toBe(2);
    expect(await page.locator(".badge.running").count()).toBe(2);
    expect(await page.locator(".run", { hasText: "long" }).locator(".figures").innerText()).toContain("3 / 10");
    for (const box of await page.locator(".run input").all()) await box.check();
    await page.locator(".settings tbody tr.differs").first().waitFor();
    expect(await page.locator(".settings").innerText()).toContain(JSON.stringify(HOSTILE).slice(1, 40));
    const unknown = page.locator(".settings details");
    expect(await unknown.locator("tr.absent").isVisible()).toBe(false);
    await unknown.getByText("1 that only one of them has").click();
    expect(await unknown.locator("tr.absent").innerText()).toContain("gone");
    await expectQuiet();
  });

  it("Curves: rise while the run goes on", async () => {
    await open("#/curves?runs=long");
    const reward = page.locator("figure", { has: page.getByRole("heading", { name: "Reward" }) });
    await reward.locator("canvas").waitFor();
    expect(await reward.locator(".legend").innerText()).toContain(String(Number(rewardOf(3).toPrecision(4))));
    appendMetrics(run, 4);
    await reward.locator(".legend", { hasText: "step 4" }).waitFor();
    expect(await reward.locator(".legend").innerText()).toContain(String(rewardOf(4)));
    expect(await page.locator("figure").count()).toBeGreaterThanOrEqual(5);
    await expectQuiet();
  });

  it("Curves: smoothing, log scale, zoom and back, several runs, keys", async () => {
    await open("#/curves?runs=long");
    const plot = page.locator(".plot").first();
    await plot.locator("canvas").waitFor();
    const picture = () => plot.locator("canvas").evaluate((canvas) => (canvas as HTMLCanvasElement).toDataURL());
    const plain = await picture();
    await page.getByLabel("smoothing").fill("0.9");
    await page.getByLabel("log scale").check();
    await expect.poll(() => page.url()).toContain("smooth=0.9&log=1");
    await expect.poll(picture).not.toBe(plain);
    await page.getByLabel("Add a run").selectOption({ index: 1 });
    await page.locator(".chip").nth(1).waitFor();
    const box = await plot.boundingBox();
    if (!box) throw new Error("Expected a plot");
    await page.mouse.move(box.x + 120, box.y + 80);
    await page.mouse.down();
    await page.mouse.move(box.x + 260, box.y + 80, { steps: 4 });
    await page.mouse.up();
    const all = page.getByRole("button", { name: "All steps" });
    await expect.poll(() => all.isEnabled()).toBe(true);
    await all.click();
    expect(await all.isDisabled()).toBe(true);
    await plot.focus();
    await page.keyboard.press("ArrowLeft");
    await page.locator(".legend", { hasText: "step 3" }).first().waitFor();
    await expectQuiet();
  });

  it("Curves: export as CSV, SVG and PNG", async () => {
    await open("#/curves?runs=long");
    await page.locator(".plot canvas").first().waitFor();
    const save = async (name: string) => {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
      return readFileSync(await download.path());
    };
    const csv = (await save("Reward as CSV")).toString("utf8").trim().split("\r\n");
    expect(csv[0]).toBe("step,mean");
    expect(csv.slice(1, 4)).toEqual([1, 2, 3].map((step) => `${step},${rewardOf(step)}`));
    expect((await save("Reward as SVG")).toString("utf8")).toMatch(/^<svg [^>]*>.*Reward.*<path d="M.*<\/svg>$/s);
    expect((await save("Reward as PNG")).subarray(1, 4).toString()).toBe("PNG");
    await expectQuiet();
  });

  it("Episodes: a bad and a good case are two clicks away", async () => {
    for (const name of ["called without print", "good: tool used, then answered"]) {
      await open("#/episodes?run=long");
      await page.locator(".row .badge").first().waitFor();
      await page.getByRole("button", { name }).click();
      await page
        .locator(name.startsWith("good") ? ".row .badge.good" : ".row .mark")
        .first()
        .waitFor();
      const key = (await page.locator(".row").first().innerText()).split("\n")[0];
      await page.locator(".row").first().click();
      await page.locator(".conversation .tok").first().waitFor();
      expect(await page.locator("h1 + .muted").innerText()).toContain(`step ${key}`);
      await expectQuiet();
    }
  });

  it("Episodes: sorts, filters, moves with the keys, and shows a group and a task", async () => {
    await open("#/episodes?run=long");
    await page.locator(".row .badge").first().waitFor();
    await page.getByRole("button", { name: "length" }).click();
    await page.getByRole("button", { name: "length ↑" }).click();
    await page.locator(".row", { hasText: "32,030" }).first().waitFor();
    expect(await page.locator(".row").first().innerText()).toContain("32,030");
    await page.getByRole("grid").focus();
    await page.keyboard.press("ArrowDown");
    expect(await page.locator(".row.active").getAttribute("aria-rowindex")).toBe("3");
    await page.getByLabel("Task id contains").fill("task-5");
    await expect.poll(() => page.locator(".page-head [role=status]").innerText()).toBe("4 episodes");
    await page.locator(".row .cell.sample a").first().click();
    await page.locator(".group-column .tok").first().waitFor();
    expect(await page.locator(".group-column").count()).toBe(4);
    await page.getByRole("link", { name: "This task across steps" }).click();
    await page.locator(".task-steps .sample-cell").first().waitFor();
    expect(await page.locator(".task-steps .sample-cell").count()).toBe(4);
    await expectQuiet();
  });

  it("Tokens: colours, card and keys tell what the log holds; the link opens the very token", async () => {
    const { episodes } = await viewer.get<EpisodesReply>("episodes", { run: "long", step: 3, limit: 1 });
    const key = episodes[0]?.key ?? "";
    const { timelines } = await viewer.get<EpisodeReply>("episode", { run: "long", key });
    const row = timelines[0];
    const token = row?.sampledBy.indexOf(1) ?? -1;
    if (!row || token < 0) throw new Error("Expected a second turn");
    await open(`#/tokens?run=long&key=${key}&token=${token}`);
    const chosen = page.locator(".tok.chosen");
    await chosen.waitFor();
    expect(await chosen.getAttribute("data-t")).toBe(String(token));
    expect(await chosen.getAttribute("class")).toMatch(/\bin l\d/);
    const prompt = page.locator('[data-t="0"]');
    expect(await prompt.getAttribute("class")).toBe("tok out");
    const card = await page.locator(".token-card").innerText();
    const facts = [
      `id\n${row.ids[token]}`,
      `log-prob\n${row.logprobs[token]?.toFixed(5)}`,
      "version\n2",
      "in the loss",
    ];
    for (const fact of facts) expect(card).toContain(fact);
    await page.locator(".conversation").focus();
    await page.keyboard.press("ArrowRight");
    await expect.poll(() => chosen.getAttribute("data-t")).toBe(String(token + 1));
    await expect.poll(() => page.url()).toContain(`token=${token + 1}`);
    expect(await page.locator(".unseen[aria-live]").innerText()).toContain(`id ${row.ids[token + 1]}`);
    await page.getByLabel("colour by").selectOption("advantage");
    expect(await chosen.getAttribute("class")).toMatch(/\b(pos|neg) l\d/);
    await page.getByLabel("colour by").selectOption("entropy");
    expect(await chosen.getAttribute("class")).toMatch(/\bent l\d/);
    await page.getByLabel("palette").selectOption("safe");
    expect(await page.locator("[data-palette=safe]").count()).toBe(1);
    await page.getByText("Group's token tree").click();
    await page.locator(".node").first().waitFor();
    expect(await page.locator(".node").first().innerText()).toContain("4 samples");
    await expectQuiet();
  });

  it("Tokens: 32,000 of them scroll without being all in the page", async () => {
    await open("#/tokens?run=long&key=1.0&token=31000");
    await page.locator(".tok.chosen").waitFor();
    expect(await page.locator(".tok.chosen").getAttribute("data-t")).toBe("31000");
    await expect.poll(() => gap(page.locator(".tok.chosen"), page.locator(".token-card"))).toBeLessThan(12);
    const box = page.locator(".conversation");
    for (const share of [0, 0.3, 0.6, 1]) {
      await box.evaluate((element, part) => element.scrollTo(0, part * element.scrollHeight), share);
      await expect.poll(() => page.locator(".line .tok").count()).toBeGreaterThan(100);
      expect(await page.evaluate("document.querySelectorAll('*').length")).toBeLessThan(5000);
    }
    await page.locator('[data-t="32029"]').first().waitFor();
    await expectQuiet();
  });

  it("shows what models, tools and folders say as text", async () => {
    await open("#/tokens?run=long&key=2.0");
    await page.locator(".line .tok").first().waitFor();
    const text = await page.locator(".conversation").innerText();
    expect(text.replaceAll("\n", "")).toContain("<script>window.hacked=1</script></span></pre>&lt;b&gt;⟨202e⟩gnp.exe␀");
    expect(await page.locator(".facts .reason").textContent()).toBe(HOSTILE);
    for (const hash of [
      "#/episodes?run=long&view=group&step=2&group=0",
      "#/tokens?run=long&key=2.0&view=tree",
      "#/runs",
    ]) {
      await page.evaluate((target) => {
        location.hash = target;
      }, hash);
      await page.locator(".group-column .tok, .node, .run").first().waitFor();
      expect(await page.locator("img, main script").count()).toBe(0);
    }
    await expectQuiet();
  });

  it("is dark where the system is, or where somebody says so, and has a name for everything that can be used", async () => {
    await open("#/curves?runs=long", "dark");
    await page.locator(".plot canvas").first().waitFor();
    const brightness = () =>
      page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])") as Promise<number>;
    expect(await brightness()).toBeLessThan(60);
    await page.getByRole("button", { name: "Light" }).click();
    expect(await brightness()).toBeGreaterThan(200);
    const nameless = `[...document.querySelectorAll("button, a, input, select, [tabindex='0']")].filter((element) =>
      !(element.innerText || element.ariaLabel || element.labels?.[0]?.innerText || element.placeholder)).length`;
    expect(await page.evaluate(nameless)).toBe(0);
    await expectQuiet();
  });

  it("says so when its command has ended", async () => {
    const other = await Viewer.open(experiments, false);
    page = await browser.newPage();
    await page.goto(other.logview.url);
    await page.locator(".run").first().waitFor();
    await other.logview.stop();
    await page.locator(".problem", { hasText: "its command has ended" }).waitFor();
    await page.close();
  });
});
