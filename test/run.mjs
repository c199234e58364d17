/**
 * `npm test`: the native tests, then the TypeScript tests. Ends with one line for both: `N passed, N failed`.
 * Arguments are passed on to vitest (`npm test -- test/text`), which then runs alone.
 */
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** The longest first. */
const NATIVE_TESTS = [
  ["backend/ajet_test_cuda_emulated"],
  ...["backend", "train", "infer", "bench", "model", "base"].map((module) => [`${module}/ajet_test_${module}`]),
  ["infer/ajet_test_infer_emulated", { args: ["engine"] }],
  ["infer/ajet_test_infer", { env: { AJET_TEST_PIPELINED: "1" } }],
];
const selected = process.argv.slice(2);
const totals = { passed: 0, failed: 0, skipped: 0 };

if (selected.length === 0) {
  buildNativeTests();
  await runNativeTests();
}
runVitest(selected);
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exit(totals.failed === 0 && totals.passed > 0 ? 0 : 1);

function buildNativeTests() {
  const build = join(ROOT, "build-tests");
  const steps = [
    ["cmake", "-S", ROOT, "-B", build, "-DAJET_WERROR=ON"],
    ["cmake", "--build", build, "--parallel", String(availableParallelism())],
  ];
  for (const [program, ...args] of steps) {
    const run = spawnSync(program, args, { encoding: "utf8", maxBuffer: 2 ** 28 });
    if (run.status !== 0) {
      console.log(run.stdout, run.stderr);
      console.log("0 passed, 1 failed");
      process.exit(1);
    }
  }
}

/** Two at a time: the emulator computes on one thread, the others on all. */
async function runNativeTests() {
  const waiting = [...NATIVE_TESTS];
  const runNext = async () => {
    for (let test = waiting.shift(); test !== undefined; test = waiting.shift()) {
      const [program, options] = test;
      const stdout = await outputOf(join(ROOT, "build-tests/test/native", program), options);
      const counts = /^(\d+) passed, (\d+) failed$/m.exec(stdout);
      totals.passed += Number(counts?.[1] ?? 0);
      // A crash leaves no line, and counts.
      totals.failed += counts ? Number(counts[2]) : 1;
    }
  };
  await Promise.all([runNext(), runNext()]);
}

/** Runs a program to its end, whatever that is, and shows what it wrote. */
function outputOf(program, { args = [], env = {} } = {}) {
  return new Promise((resolve) => {
    execFile(program, args, { maxBuffer: 2 ** 28, env: { ...process.env, ...env } }, (_, stdout, stderr) => {
      console.log(stdout, stderr);
      resolve(stdout);
    });
  });
}

function runVitest(filters) {
  const folder = mkdtempSync(join(tmpdir(), "ajet-test-"));
  const report = join(folder, "report.json");
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const args = [vitest, "run", "--config", "test/config/vitest.config.ts", "--reporter=default", "--reporter=json"];
  const run = spawnSync(process.execPath, [...args, `--outputFile.json=${report}`, ...filters], {
    cwd: ROOT,
    stdio: "inherit",
  });
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numFailedTestSuites } = JSON.parse(
      readFileSync(report, "utf8"),
    );
    totals.passed += numPassedTests;
    totals.skipped += numPendingTests;
    totals.failed += numFailedTests > 0 ? numFailedTests : numFailedTestSuites > 0 || run.status !== 0 ? 1 : 0;
  } catch {
    totals.failed += 1;
  }
  rmSync(folder, { recursive: true });
}
