/**
 * Takes the pictures of docs/images: every page of `ajet logview`, and report.html, in headless Chromium.
 *
 *   node scripts/screenshots.mjs [folder with runs, default saved_experiments] [run, default the newest that fits]
 *
 * Shows a run that has both the bad and the good case, found as a person finds them: by clicks. Where another run of the same
 * YAML lies beside it, their curves and settings are compared.
 */
import { mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { startLogview } from "../dist/logview/server.js";
import { launchChromium } from "../test/logview/chromium.mjs";

const IMAGES = join(dirname(fileURLToPath(import.meta.url)), "../docs/images");
const VIEWPORT = { width: 1200, height: 760 };
/** Time for curves to be drawn, and for what fades to have faded. */
const SETTLE_MS = 1200;
/** A busy machine is slow. */
const TIMEOUT_MS = 60_000;

const [folder = "saved_experiments", wanted] = process.argv.slice(2);
const logview = await startLogview({ folder });
const browser = await launchChromium();
mkdirSync(IMAGES, { recursive: true });
try {
  const shown = await runToShow();
  const rival = (await runs()).find(({ id, yaml, step }) => id !== shown.id && yaml === shown.yaml && step > 1);
  await takePictures(shown.id, rival?.id);
} finally {
  await browser.close();
  await logview.stop();
}

async function takePictures(run, rival) {
  const page = await newPage("light");
  const both = encodeURIComponent([run, ...(rival ? [rival] : [])].join(","));
  const name = encodeURIComponent(run);

  await open(page, `#/runs?pick=${both}`, ".run");
  await shoot(page, "logview-runs");
  await open(page, `#/curves?runs=${both}&smooth=0.5`, ".plot canvas");
  await shoot(page, "logview-curves");
  await open(page, `#/episodes?run=${name}`, ".row .badge");
  await shoot(page, "logview-episodes");

  await openCase(page, "called without print", ".row .mark");
  await hoverReply(page);
  await shoot(page, "logview-bad-case");

  // One of a group that was trained on: where all succeed there is nothing to learn, and nothing is blue.
  await open(page, `#/episodes?run=${name}&sortBy=lossTokens&descending=true`, ".row .badge");
  await openCase(page, "good: tool used, then answered", ".row .badge.good");
  await hoverReply(page);
  await shoot(page, "logview-good-case");
  const goodCase = new URL(page.url()).hash;

  await page.getByRole("link", { name: "Group side by side" }).click();
  await page.locator(".group-column .tok").first().waitFor();
  await shoot(page, "logview-group");
  await page.getByRole("link", { name: "Token tree" }).click();
  await page.locator(".node").first().waitFor();
  await shoot(page, "logview-tree");

  const dark = await newPage("dark");
  await open(dark, goodCase, ".line .tok");
  await hoverReply(dark);
  await shoot(dark, "logview-dark");

  await page.goto(pathToFileURL(join(resolve(folder), run, "report.html")).href);
  await shoot(page, "report");
}

/** The run that is asked for, else the newest with episodes of both cases. */
async function runToShow() {
  for (const run of await runs()) {
    if (!run.hasTokens || (wanted !== undefined && run.id !== wanted)) continue;
    const counts = await Promise.all(
      ["marks=no_print", "good=true"].map(async (filter) => {
        const { total } = await ask(`episodes?run=${encodeURIComponent(run.id)}&limit=1&${filter}`);
        return total;
      }),
    );
    if (counts.every((count) => count > 0)) return run;
  }
  throw new Error(
    `Expected a run ${wanted ?? ""} in ${folder} with episodes of the bad and the good case: \`npx ajet train\``,
  );
}

async function runs() {
  return (await ask("runs")).runs;
}

async function ask(question) {
  const { origin, searchParams } = new URL(logview.url);
  const authorization = `Bearer ${searchParams.get("token")}`;
  return await (await fetch(`${origin}/api/${question}`, { headers: { authorization } })).json();
}

async function newPage(colorScheme) {
  const page = await browser.newPage({ viewport: VIEWPORT, colorScheme });
  page.setDefaultTimeout(TIMEOUT_MS);
  return page;
}

async function open(page, hash, ready) {
  await page.goto(`${logview.url}${hash}`);
  // Another hash alone loads nothing anew.
  await page.reload();
  await page.locator(ready).first().waitFor();
}

/** Two clicks: the case, then its first episode. */
async function openCase(page, label, found) {
  await page.getByRole("button", { name: label }).click();
  await page.locator(found).first().waitFor();
  await page.locator(".row").first().click();
  await page.locator(".line .tok").first().waitFor();
}

/** The end of the conversation, with the card of the first reply's least likely token that is seen. */
async function hoverReply(page) {
  await page.locator(".conversation").evaluate((box) => box.scrollTo(0, box.scrollHeight));
  await page.waitForTimeout(SETTLE_MS);
  const unlikely = page.locator(".conversation .tok.in:is(.l3, .l4, .l5, .l6, .l7, .l8)");
  const token = (await unlikely.count()) > 0 ? unlikely.first() : page.locator(".conversation .tok.in").nth(8);
  await token.hover();
  await page.locator(".token-card").waitFor();
}

async function shoot(page, file) {
  await page.waitForTimeout(SETTLE_MS);
  await page.screenshot({ path: join(IMAGES, `${file}.png`) });
  console.log(`docs/images/${file}.png`);
}
