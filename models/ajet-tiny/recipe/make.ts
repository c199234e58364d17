/**
 * Makes ajet-tiny from nothing: `npx tsx models/ajet-tiny/recipe/make.ts [OUT]` (default: models/ajet-tiny itself).
 * About ten minutes on two cores. The same commit gives the same weights on machines with the same instruction set.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const RECIPE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(RECIPE, "../../..");
const out = process.argv[2] ?? join(ROOT, "models/ajet-tiny");
const work = mkdtempSync(join(tmpdir(), "ajet-tiny-"));

run("npx", ["tsx", join(RECIPE, "prepare.ts"), work]);
run("npx", [
  "ajet", "sft", "--data", join(work, "traces.jsonl"), "--model", work, "--out", out, "--dtype", "bfloat16",
  "--batch-size", "48", "--lr", "2e-3", "--warmup", "40", "--weight-decay", "0.05", "--seed", "1",
]);
rmSync(work, { recursive: true });

function run(program: string, args: string[]): void {
  const { status } = spawnSync(program, args, { cwd: ROOT, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
