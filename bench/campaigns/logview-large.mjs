/**
 * Shows a run with a token log of 2 GB and 100,000 episodes by `ajet logview`, and measures what somebody waits for: the first
 * page from the start of the command on, by HTTP and in headless Chromium; any episode; and the memory that the server holds
 * after all of it.
 *
 *   node bench/campaigns/logview-large.mjs [episodes, default 100000] [folder, default a temporary one, then removed]
 *
 * A folder that holds a run already is shown as it is. Needs the disk space, and about three minutes on two cores, most of them
 * for writing the log; the system's file cache is warm. Without Chromium, its rows are left out.
 */
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasChromium, launchChromium } from "../../test/logview/chromium.mjs";
import { Ajet } from "./ajet.mjs";
import { random } from "./generated-steps.mjs";
import { EPISODES_A_STEP, writeLargeLog } from "./large-token-log.mjs";

const READS = 1000;
const READS_IN_BROWSER = 5;
const RUN = "large";
/** What the pages promise, in ms and MB. */
const PROMISED = { firstPage: 1000, episode: 300, memory: 200 };

/** The command, and a client of what it serves. */
class Viewer {
  static async start(folder) {
    const command = new Ajet(["logview", folder, "--no-open", "--json"]);
    await command.until(() => command.stdout.includes("\n"));
    return new Viewer(command, JSON.parse(command.stdout).url);
  }

  constructor(command, url) {
    this.command = command;
    this.url = url;
  }

  async get(name, query) {
    const { origin, searchParams } = new URL(this.url);
    const authorization = `Bearer ${searchParams.get("token")}`;
    const response = await fetch(`${origin}/api/${name}?${new URLSearchParams(query)}`, { headers: { authorization } });
    const body = await response.text();
    if (!response.ok) throw new Error(`${name}: ${response.status} ${body}`);
    return JSON.parse(body);
  }

  /** MB that the process holds, and has held at most. */
  memory() {
    const status = readFileSync(`/proc/${this.command.child.pid}/status`, "utf8");
    const [now, most] = ["VmRSS", "VmHWM"].map((key) => Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)[1]) / 1000);
    return { now, most };
  }

  /** CPU time of the process so far, in ms: on a busy machine it says more than the time on the clock. */
  cpu() {
    const fields = readFileSync(`/proc/${this.command.child.pid}/stat`, "utf8").replace(/.*\) /, "").split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10; // ticks of 1/100 s
  }

  async stop() {
    const ended = once(this.command.child, "exit");
    this.command.child.kill("SIGTERM");
    await ended;
  }
}

async function main() {
  const [episodes = "100000", given] = process.argv.slice(2);
  const folder = given ?? mkdtempSync(join(tmpdir(), "ajet-large-run-"));
  try {
    await writeRun(folder, Number(episodes));
    console.log("| what | | CPU of the server | promised |\n|---|---|---|---|");
    await measure(folder, Math.ceil(Number(episodes) / EPISODES_A_STEP));
  } finally {
    if (given === undefined) rmSync(folder, { recursive: true });
  }
}

async function writeRun(folder, episodes) {
  const run = join(folder, RUN);
  if (existsSync(run)) return;
  mkdirSync(join(run, "tokens"), { recursive: true });
  writeFileSync(join(run, "metrics.jsonl"), '{"step":1,"critic/rewards/mean":0.5}\n');
  await writeLargeLog(join(run, "tokens"), episodes);
}

async function measure(folder, steps) {
  const first = await firstPage(folder);
  report("first page of episodes, from the command on, by HTTP", first.ms, "ms", PROMISED.firstPage, first.cpu);
  if (hasChromium) await measureInBrowser(folder);
  const viewer = await Viewer.start(folder);
  const next = random(1);
  const key = () => `${1 + Math.floor(next() * steps)}.${Math.floor(next() * EPISODES_A_STEP)}`;
  let before = viewer.cpu();
  const times = await timed(READS, () => viewer.get("episode", { run: RUN, key: key() }));
  const median = times[READS / 2].toFixed(1);
  const cpu = (viewer.cpu() - before) / READS;
  report(`any episode by HTTP, slowest of ${READS} (median ${median} ms)`, times.at(-1), "ms", PROMISED.episode, cpu);
  const queries = [
    { success: "false", sortBy: "length", descending: "true" },
    { marks: "no_print", sortBy: "reward" },
    { good: "true", offset: "10000" },
    { search: "task-77" },
  ];
  before = viewer.cpu();
  const filtered = await timed(queries.length, (i) => viewer.get("episodes", { run: RUN, ...queries[i] }));
  const eachCpu = (viewer.cpu() - before) / queries.length;
  report(`filtering and sorting all of it, slowest of ${queries.length}`, filtered.at(-1), "ms", undefined, eachCpu);
  const { now, most } = viewer.memory();
  report(`memory of the server at the end (${most.toFixed(0)} MB at most)`, now, "MB", PROMISED.memory);
  await viewer.stop();
}

/** A process of its own, from its start to the first hundred episodes. */
async function firstPage(folder) {
  const started = performance.now();
  const viewer = await Viewer.start(folder);
  const { total } = await viewer.get("episodes", { run: RUN, limit: "100" });
  const measured = { ms: performance.now() - started, cpu: viewer.cpu() };
  if (total < 1) throw new Error("Expected episodes");
  await viewer.stop();
  return measured;
}

async function measureInBrowser(folder) {
  const browser = await launchChromium();
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto("about:blank");
  const started = performance.now();
  const viewer = await Viewer.start(folder);
  const answering = performance.now();
  await page.goto(`${viewer.url}#/episodes?run=${RUN}`);
  await page.locator(".row .badge").first().waitFor();
  const shown = performance.now();
  report("first rows in the browser, from its address on", shown - answering, "ms", PROMISED.firstPage);
  report("first rows in the browser, from the command on", shown - started, "ms");
  const { total } = await viewer.get("episodes", { run: RUN, limit: "1" });
  const next = random(2);
  const times = await timed(READS_IN_BROWSER, async () => {
    const index = Math.floor(next() * total);
    const { episodes } = await viewer.get("episodes", { run: RUN, offset: String(index), limit: "1" });
    const { key, sample, step } = episodes[0];
    const clicked = performance.now();
    await page.evaluate((hash) => {
      location.hash = hash;
    }, `#/tokens?run=${RUN}&key=${key}`);
    await page.locator("h1 + .muted", { hasText: `step ${step} ` }).waitFor();
    await page.locator("h1", { hasText: `sample ${sample}` }).waitFor();
    await page.locator(".line .tok").first().waitFor();
    return performance.now() - clicked;
  });
  report(`any episode in the browser, slowest of ${READS_IN_BROWSER}`, times.at(-1), "ms", PROMISED.episode);
  await viewer.stop();
  await browser.close();
}

/** Ascending. An action may say for itself how long it took. */
async function timed(count, action) {
  const times = [];
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    const own = await action(i);
    times.push(typeof own === "number" ? own : performance.now() - started);
  }
  return times.sort((a, b) => a - b);
}

function report(what, value, unit, promised, cpuMs) {
  const target = promised === undefined ? "" : `${promised} ${unit}${value < promised ? "" : ": MISSED"}`;
  const cpu = cpuMs === undefined ? "" : `${cpuMs.toFixed(1)} ms`;
  console.log(`| ${what} | ${value.toFixed(0)} ${unit} | ${cpu} | ${target} |`);
}

await main();
