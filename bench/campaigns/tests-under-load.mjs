/**
 * The TypeScript tests on a machine that gives them little: a test that fails here counts on a clock, or found a fault
 * that needs bad luck.
 *
 *   node bench/campaigns/tests-under-load.mjs [neighbours | one-core | pauses | all, default all] [vitest filter …]
 *
 * neighbours: two processes spin on each core. one-core: all on one. pauses: the tests' processes are stopped at random
 * for up to 1.2 s, as a virtual machine stops. About 7 minutes each on two cores. Exits 1 if a test failed.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { ROOT } from "./ajet.mjs";

const LOADS = { neighbours: spinOnEachCore, "one-core": () => () => {}, pauses: pauseAtRandom };
const [chosen = "all", ...filters] = process.argv.slice(2);
if (chosen !== "all" && !(chosen in LOADS)) {
  console.error(`Expected one of ${Object.keys(LOADS).join(", ")}, all but received ${chosen}`);
  process.exit(2);
}
const loads = chosen === "all" ? Object.keys(LOADS) : [chosen];
let failures = 0;
for (const load of loads) failures += await runUnder(load);
process.exit(failures > 0 ? 1 : 0);

async function runUnder(load) {
  const folder = mkdtempSync(join(tmpdir(), "ajet-load-"));
  const report = join(folder, "report.json");
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const args = ["run", "--config", "test/config/vitest.config.ts", "--reporter=json", `--outputFile=${report}`];
  const command = [process.execPath, vitest, ...args, ...filters];
  if (load === "one-core") command.unshift("taskset", "--cpu-list", "0");
  const start = performance.now();
  const [program, ...rest] = command;
  const tests = spawn(program, rest, { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
  const ended = new Promise((resolve, reject) => tests.on("error", reject).on("close", resolve));
  const stop = LOADS[load](tests.pid);
  const code = await ended;
  stop();
  const failed = failuresIn(report);
  rmSync(folder, { recursive: true });
  if (failed.length === 0 && code !== 0) failed.push(`vitest ended with ${code}`);
  console.log(`${load}: ${failed.length} failed, ${((performance.now() - start) / 60e3).toFixed(1)} min`);
  for (const line of failed) console.log(`  ${line}`);
  return failed.length;
}

function failuresIn(report) {
  const { testResults } = JSON.parse(readFileSync(report, "utf8"));
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(ROOT, name);
    const failed = assertionResults.filter((test) => test.status === "failed");
    if (failed.length === 0 && status === "failed") return [`${file}: ${message}`];
    return failed.map((test) => `${file}: ${test.fullName}: ${test.failureMessages[0]?.split("\n", 1)[0]}`);
  });
}

function spinOnEachCore() {
  const spinning = Array.from({ length: 2 * availableParallelism() }, () =>
    spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }),
  );
  return () => {
    for (const child of spinning) child.kill("SIGKILL");
  };
}

/** Stops one, two or all of the tests' processes at a time. */
function pauseAtRandom(root) {
  let timer;
  let stopped = [];
  const pause = () => {
    const all = descendants(root);
    const count = pick([1, 2, all.length]);
    stopped = count < all.length ? Array.from({ length: count }, () => pick(all)) : all;
    signal(stopped, "SIGSTOP");
    timer = setTimeout(go, pick([50, 300, 1200]));
  };
  const go = () => {
    signal(stopped, "SIGCONT");
    timer = setTimeout(pause, 100 + 1400 * Math.random());
  };
  pause();
  return () => {
    clearTimeout(timer);
    signal(stopped, "SIGCONT");
  };
}

function pick(values) {
  return values[Math.floor(Math.random() * values.length)];
}

function signal(processes, name) {
  for (const pid of processes) {
    try {
      process.kill(pid, name);
    } catch {} // ended meanwhile
  }
}

function descendants(root) {
  const children = new Map();
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const parent = Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${entry}/status`, "utf8"))?.[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
    } catch {} // ended meanwhile
  }
  const found = [root];
  for (const pid of found) found.push(...(children.get(pid) ?? []));
  return found;
}
