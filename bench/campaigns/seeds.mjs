/**
 * The whole tutorial with several seeds, and whether each run meets the tutorial's bars.
 *
 *   node bench/campaigns/seeds.mjs [seeds, default 42,1,2,3]
 *
 * Takes 2 to 3 minutes a seed on 2 cores. Exits 1 where a seed misses a bar.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ajet, settings } from "./ajet.mjs";

/** What `summary.json` must hold. */
const BARS = {
  success_rate_before: (value) => value <= 0.35,
  greedy_success_rate_before: (value) => value <= 0.35,
  success_rate_after: (value) => value >= 0.9,
  greedy_success_rate_after: (value) => value >= 0.92,
  unseen_success_rate_after: (value) => value >= 0.5,
  validation_tasks: (value) => value >= 500,
  logprob_max_abs_diff: (value) => value === 0,
  tokens_unshared_per_trained: (value) => value >= 3,
  wall_seconds: (value) => value <= 180,
  episodes_dropped: (value) => value === 0,
};

const seeds = (process.argv[2] ?? "42,1,2,3").split(",").map(Number);
const folder = mkdtempSync(join(tmpdir(), "ajet-seeds-"));
let missed = 0;
for (const seed of seeds) {
  const name = `seed_${seed}`;
  const run = settings({ experiment_dir: folder, experiment_name: name, "trainer_common.seed": seed });
  const { code, stderr } = await ajet(["train", ...run]);
  if (code !== 0) {
    missed++;
    console.log(`seed ${seed}: exit code ${code}\n${stderr}`);
    continue;
  }
  const summary = JSON.parse(readFileSync(join(folder, name, "summary.json"), "utf8"));
  const values = Object.entries(BARS).map(([key, meets]) => {
    const met = meets(summary[key]);
    if (!met) missed++;
    return `${key} ${Number(summary[key].toFixed(4))}${met ? "" : " MISSED"}`;
  });
  console.log(`seed ${seed}: ${values.join(", ")}`);
}
rmSync(folder, { recursive: true });
console.log(missed === 0 ? "every seed meets every bar" : `${missed} bars missed`);
process.exit(missed === 0 ? 0 : 1);
