/**
 * What the token log costs: the time that a run of the tutorial spends on writing it, against its own steps. The bar is 2 % of a
 * step, for the whole run and for the median step.
 *
 *   node bench/campaigns/token-log-cost.mjs [run's folder, default a new run of 20 steps]
 *
 * Prints a Markdown table. Exits 1 where the bar is missed.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ajet, settings } from "./ajet.mjs";

const BAR = 0.02;

async function train(folder) {
  const values = {
    experiment_dir: folder,
    experiment_name: "run",
    "trainer_common.total_training_steps": 20,
    "trainer_common.val_before_train": false,
    "trainer_common.test_freq": 0,
    "trainer_common.save_freq": 0,
  };
  const { code, stderr } = await ajet(["train", ...settings(values)]);
  if (code !== 0) throw new Error(`exit code ${code}\n${stderr}`);
  return join(folder, "run");
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

const folder = mkdtempSync(join(tmpdir(), "ajet-token-log-cost-"));
const run = process.argv[2] ?? (await train(folder));
const rows = readFileSync(join(run, "metrics.jsonl"), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line));
const tokens = join(run, "tokens");
const bytes = sum(readdirSync(tokens).map((name) => statSync(join(tokens, name)).size));
const steps = rows.map((row) => row["timing_s/step"]);
const writing = rows.map((row) => row["timing_s/token_log"]);
const shares = rows.map((_, i) => writing[i] / steps[i]);
const shown = {
  steps: rows.length,
  "episodes a step": Math.round(sum(rows.map((row) => row["rollout/episodes"])) / rows.length),
  "log, KiB a step": Math.round(bytes / rows.length / 1024),
  "step, ms (median)": Math.round(1000 * median(steps)),
  "writing, ms (median)": (1000 * median(writing)).toFixed(1),
  "share of the whole run": `${((100 * sum(writing)) / sum(steps)).toFixed(2)} %`,
  "share, median step": `${(100 * median(shares)).toFixed(2)} %`,
  "share, worst step": `${(100 * Math.max(...shares)).toFixed(2)} %`,
};
rmSync(folder, { recursive: true });
for (const cells of [Object.keys(shown), Object.keys(shown).map(() => "---"), Object.values(shown)]) {
  console.log(`| ${cells.join(" | ")} |`);
}
process.exitCode = sum(writing) / sum(steps) < BAR && median(shares) < BAR ? 0 : 1;
