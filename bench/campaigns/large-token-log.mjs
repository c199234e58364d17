/**
 * Writes a token log of 2 GB with 100,000 episodes and measures how it reads: opening it and its first page, filtering and
 * sorting all of it, any episode with and without the index in memory, and the memory that the reader takes.
 *
 *   node bench/campaigns/large-token-log.mjs [episodes, default 100000] [folder, default a temporary one, then removed]
 *
 * A folder that holds a log already is read as it is. Needs the disk space, and about two minutes on one core. Each row
 * is measured in a process of its own; the system's file cache is warm.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TokenLogReader } from "../../dist/report/token-log/reader.js";
import { TokenLogWriter } from "../../dist/report/token-log/writer.js";
import { generatedStep, random, tokenBytes } from "./generated-steps.mjs";

/** About 20 kB an episode. */
const SHAPE = { groups: 8, episodes: 8, turns: 4, prompt: 600, sampled: 420, observed: 100 };
export const EPISODES_A_STEP = SHAPE.groups * SHAPE.episodes;
const READS = 200;
/** Written in turn: making them takes longer than writing them. */
const DISTINCT_STEPS = 16;

const MEASUREMENTS = {
  "open, first page of 100": async (folder) => {
    const reader = await TokenLogReader.open(folder);
    const { total } = await reader.list({ limit: 100 });
    return `${total} episodes`;
  },
  "open, failures sorted by length": async (folder) => {
    const reader = await TokenLogReader.open(folder);
    const { total } = await reader.list({ success: false, sortBy: "length", descending: true });
    return `${total} episodes`;
  },
  "open, one episode in the middle": async (folder) => {
    const reader = await TokenLogReader.open(folder);
    const steps = process.env.STEPS;
    const { calls } = await reader.episode(`${Math.ceil(steps / 2)}.5`);
    return `${calls.length} calls`;
  },
};

async function measure(name, folder) {
  const [started, cpu] = [performance.now(), process.cpuUsage()];
  const what = await MEASUREMENTS[name](folder);
  return { name, ms: performance.now() - started, cpuMs: cpuMs(cpu), what, mib: peakMib() };
}

/** Since `before`: on a busy machine it says more than the time on the clock. */
function cpuMs(before) {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function peakMib() {
  return process.resourceUsage().maxRSS / 1024;
}

/** Any episode, one after the other, with the whole index in memory. */
async function measureReads(folder) {
  const reader = await TokenLogReader.open(folder);
  const { total } = await reader.list();
  const next = random(1);
  const times = [];
  let cpu = 0;
  for (let i = 0; i < READS; i++) {
    const { headers } = await reader.list({ offset: Math.floor(next() * total), limit: 1 });
    const [started, before] = [performance.now(), process.cpuUsage()];
    await reader.episode(headers[0].key);
    times.push(performance.now() - started);
    cpu += cpuMs(before) / READS;
  }
  times.sort((a, b) => a - b);
  const name = `any episode, slowest of ${READS}`;
  const what = `median ${times[READS / 2].toFixed(1)} ms`;
  return { name, ms: times.at(-1), cpuMs: cpu, what, mib: peakMib() };
}

/**
 * Writes the log into an empty folder.
 * @returns How long a step took.
 */
export async function writeLargeLog(folder, episodes) {
  const writer = await TokenLogWriter.open(folder, { lastStep: 0, tokenBytes });
  const steps = Math.ceil(episodes / EPISODES_A_STEP);
  const distinct = Array.from({ length: DISTINCT_STEPS }, (_, i) => generatedStep(i, SHAPE));
  let [ms, cpu] = [0, 0];
  for (let step = 1; step <= steps; step++) {
    const groups = distinct[step % DISTINCT_STEPS];
    const [started, before] = [performance.now(), process.cpuUsage()];
    writer.append(step, groups);
    ms += performance.now() - started;
    cpu += cpuMs(before);
    if (step % 100 === 0) process.stderr.write(`step ${step} of ${steps}\n`);
  }
  writer.close();
  const perStep = (total) => `${(total / steps).toFixed(1)} ms`;
  return `${perStep(ms)} (CPU ${perStep(cpu)}) a step of ${EPISODES_A_STEP} episodes`;
}

async function main() {
  const [episodes = "100000", given] = process.argv.slice(2);
  const folder = given ?? mkdtempSync(join(tmpdir(), "ajet-large-log-"));
  try {
    if (!existsSync(folder) || readdirSync(folder).length === 0) {
      console.log(`written: ${await writeLargeLog(folder, Number(episodes))}`);
    }
    const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    console.log(`${(bytes / 1e9).toFixed(2)} GB in ${readdirSync(folder).length} segments`);
    const STEPS = String(Math.ceil(Number(episodes) / EPISODES_A_STEP));
    console.log("| what | ms | CPU ms | | peak memory, MiB |\n|---|---|---|---|---|");
    for (const name of [...Object.keys(MEASUREMENTS), "reads"]) {
      const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--measure", name, folder], {
        env: { ...process.env, STEPS },
        encoding: "utf8",
      });
      if (child.status !== 0) throw new Error(child.stderr);
      const { name: label, ms, cpuMs, what, mib } = JSON.parse(child.stdout);
      console.log(`| ${label} | ${ms.toFixed(0)} | ${cpuMs.toFixed(1)} | ${what} | ${mib.toFixed(0)} |`);
    }
  } finally {
    if (given === undefined) rmSync(folder, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [flag, name, folder] = process.argv.slice(2);
  if (flag === "--measure") {
    console.log(JSON.stringify(await (name === "reads" ? measureReads(folder) : measure(name, folder))));
  } else await main();
}
