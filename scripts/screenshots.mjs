/**
 * Takes the pictures of docs/images: every page of `ajet logview`, in headless Chromium.
 *
 *   node scripts/screenshots.mjs [folder with runs, default saved_experiments]
 *
 * Shows the folder's first run with a token log, found as a person finds it: by clicks on the cases.
 */
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startLogview } from "../dist/logview/server.js";
import { launchChromium } from "../test/logview/chromium.mjs";

const IMAGES = join(dirname(fileURLToPath(import.meta.url)), "../docs/images");
const VIEWPORT = { width: 1200, height: 760 };
/** Time for curves to be drawn. */
const SETTLE_MS = 1200;

const logview = await startLogview({ folder: process.argv[2] ?? "saved_experiments" });
const browser = await launchChromium();
mkdirSync(IMAGES, { recursive: true });
try {
  const { runs } = await (await fetch(`${logview.url.replace("/?", "/api/runs?")}`)).json();
  const run = runs.find(({ hasTokens }) => hasTokens)?.id;
  if (run === undefined) throw new Error("Expected a folder with a run that has a token log");
  const all = runs.slice(0, 2).map(({ id }) => id);
  const name = encodeURIComponent(run);
  const page = await browser.newPage({ viewport: VIEWPORT });
  page.setDefaultTimeout(200_000);
  const shoot = async (file, hash, ready, before = async () => {}) => {
    if (hash !== undefined) await page.goto(`${logview.url}${hash}`);
    if (hash !== undefined) await page.reload();
    await page.locator(ready).first().waitFor();
    await before();
    await page.waitForTimeout(SETTLE_MS);
    await page.screenshot({ path: join(IMAGES, `${file}.png`) });
    console.log(`docs/images/${file}.png`);
  };
  await shoot("logview-runs", "#/runs", ".run");
  await shoot("logview-curves", `#/curves?runs=${encodeURIComponent(all.join(","))}&smooth=0.5`, ".plot canvas");
  await shoot("logview-episodes", `#/episodes?run=${name}`, ".row .badge");
  await click(page, "called without print", ".row .mark");
  await shoot("logview-bad-case", undefined, ".line .tok", () => scrollToReply(page));
  await page.goto(`${logview.url}#/episodes?run=${name}&sortBy=step&descending=true`);
  await page.reload();
  await click(page, "good: tool used, then answered", ".row .badge.good");
  await shoot("logview-good-case", undefined, ".line .tok", () => scrollToReply(page));
  await shoot("logview-tree", undefined, ".conversation", async () => {
    await page.getByText("Group's token tree").click();
    await page.locator(".node").first().waitFor();
  });
  await page.getByRole("link", { name: "Group side by side" }).click();
  await shoot("logview-group", undefined, ".group-column .tok");
} finally {
  await browser.close();
  await logview.stop();
}

/** A case, then its first episode. */
async function click(page, label, found) {
  await page.getByRole("button", { name: label }).click();
  await page.locator(found).first().waitFor();
  await page.locator(".row").first().click();
}

/** The card of a token of the first reply, and the end of the conversation. */
async function scrollToReply(page) {
  await page.locator(".conversation").evaluate((box) => box.scrollTo(0, box.scrollHeight));
  await page.waitForTimeout(SETTLE_MS / 2);
  await page.locator(".conversation .tok.in").nth(8).hover();
}
