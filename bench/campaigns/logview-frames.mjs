/**
 * Scrolls through a conversation of 32,000 tokens in headless Chromium, by wheel and by keys, and measures each frame: the
 * time from one to the next, and what of it the main thread computed (script, style, layout, paint). The pages keep 60 frames
 * a second where the second is below 16.7 ms; the first also holds what software rendering takes where there is no GPU.
 *
 *   node bench/campaigns/logview-frames.mjs [tokens, default 32000] [seconds of each, default 5]
 *
 * The main thread's time is CPU time, so that other processes do not count.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLogview } from "../../dist/logview/server.js";
import { TokenLogWriter } from "../../dist/report/token-log/writer.js";
import { launchChromium } from "../../test/logview/chromium.mjs";
import { generatedStep, tokenBytes } from "./generated-steps.mjs";

const VIEWPORT = { width: 1440, height: 900 };
const BUDGET_MS = 1000 / 60;
const WHEEL_PIXELS_PER_SECOND = [3000, 6000]; // three and seven screens a second
const KEY_EVERY_MS = 33; // a key that is held down

const [tokens = "32000", seconds = "5"] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "ajet-frames-"));
try {
  await writeRun(Number(tokens));
  const logview = await startLogview({ folder });
  const browser = await launchChromium();
  console.log(
    "| scrolling | frames | frame interval, median / p99 ms | main thread a frame, median / p99 / max ms | over 16.7 ms |",
  );
  console.log("|---|---|---|---|---|");
  const ways = WHEEL_PIXELS_PER_SECOND.map((speed) => [`wheel, ${speed} px/s`, (page) => scrollByWheel(page, speed)]);
  for (const [name, scroll] of [...ways, ["keys, a screen at each press", scrollByKeys]]) {
    const page = await browser.newPage({ viewport: VIEWPORT });
    page.setDefaultTimeout(120_000);
    await page.goto(`${logview.url}#/tokens?run=run&key=1.0`);
    await page.locator(".line .tok").first().waitFor();
    console.log(row(name, await measure(browser, page, scroll)));
    await page.close();
  }
  await browser.close();
  await logview.stop();
} finally {
  rmSync(folder, { recursive: true });
}

/** A run with one episode of one long conversation. */
async function writeRun(length) {
  const run = join(folder, "run");
  mkdirSync(run, { recursive: true });
  writeFileSync(join(run, "metrics.jsonl"), '{"step":1}\n');
  const log = await TokenLogWriter.open(join(run, "tokens"), { lastStep: 0, tokenBytes });
  const turns = 8;
  const [prompt, observed] = [2000, 200];
  const sampled = Math.ceil((length - prompt - (turns - 1) * observed) / turns);
  log.append(1, generatedStep(1, { groups: 1, episodes: 1, turns, prompt, sampled, observed }));
  log.close();
}

async function measure(browser, page, scroll) {
  await page.evaluate(`(() => {
    let last;
    window.intervals = [];
    const next = (now) => {
      if (last !== undefined) window.intervals.push(now - last);
      last = now;
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  })()`);
  await browser.startTracing(page, {
    categories: ["disabled-by-default-devtools.timeline", "devtools.timeline", "toplevel", "__metadata"],
  });
  const scrolled = await scroll(page);
  const trace = JSON.parse((await browser.stopTracing()).toString("utf8"));
  const intervals = await page.evaluate("window.intervals");
  if (scrolled < VIEWPORT.height)
    throw new Error(`Expected to scroll through the conversation but came to ${scrolled} px`);
  return { intervals, work: mainThreadPerFrame(trace.traceEvents) };
}

async function scrollByWheel(page, speed) {
  const client = await page.context().newCDPSession(page);
  const box = await page.locator(".conversation").boundingBox();
  await client.send("Input.synthesizeScrollGesture", {
    x: box.x + box.width / 2,
    y: box.y + box.height / 2,
    yDistance: -speed * Number(seconds),
    speed,
    gestureSourceType: "mouse",
  });
  return await scrollTop(page);
}

async function scrollByKeys(page) {
  await page.locator(".conversation").focus();
  const end = performance.now() + 1000 * Number(seconds);
  while (performance.now() < end) {
    await page.keyboard.press("PageDown");
    await page.waitForTimeout(KEY_EVERY_MS);
  }
  return await scrollTop(page);
}

function scrollTop(page) {
  return page.locator(".conversation").evaluate((box) => box.scrollTop);
}

/** CPU ms of the page's main thread between one animation frame and the next. */
function mainThreadPerFrame(events) {
  const isMain = ({ args }) => args?.name === "CrRendererMain";
  const ofFrames = events.filter(({ name }) => name === "FireAnimationFrame");
  // Several renderers may be traced: ours is the one that draws frames.
  const { pid, tid } = mostFrequent(ofFrames);
  if (
    !events.some((event) => event.name === "thread_name" && event.pid === pid && event.tid === tid && isMain(event))
  ) {
    throw new Error("Expected frames on the main thread");
  }
  const starts = ofFrames
    .filter((event) => event.pid === pid)
    .map(({ ts }) => ts)
    .sort((a, b) => a - b);
  const work = new Array(Math.max(0, starts.length - 1)).fill(0);
  const tasks = events
    .filter((event) => event.pid === pid && event.tid === tid && event.ph === "X" && event.name === "RunTask")
    .sort((a, b) => a.ts - b.ts);
  let frame = 0;
  for (const { ts, dur, tdur } of tasks) {
    // A task belongs to the frame that it ends in: the callback of the frame runs within one.
    while (frame + 1 < starts.length && ts + dur > starts[frame + 1]) frame++;
    if (ts + dur >= starts[0] && frame < work.length) work[frame] += tdur / 1000;
  }
  return work;
}

function mostFrequent(events) {
  const counts = new Map();
  for (const { pid } of events) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  const [pid] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [];
  const found = events.find((event) => event.pid === pid);
  if (found === undefined) throw new Error("Expected frames in the trace");
  return found;
}

function row(name, { intervals, work }) {
  const at = (values, share) =>
    [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))];
  const ms = (value) => value.toFixed(1);
  const over = work.filter((one) => one > BUDGET_MS).length;
  const interval = [0.5, 0.99].map((share) => ms(at(intervals, share))).join(" / ");
  const main = [0.5, 0.99, 1].map((share) => ms(at(work, share))).join(" / ");
  return `| ${name} | ${work.length} | ${interval} | ${main} | ${over} |`;
}
