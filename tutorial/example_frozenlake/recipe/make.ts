/**
 * Makes ajet-lake, the model of this tutorial, from nothing: `npx tsx tutorial/example_frozenlake/recipe/make.ts [OUT]`
 * (default: models/ajet-lake). Two minutes on two cores. The same commit gives the same weights on machines with the same
 * instruction set.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const RECIPE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(RECIPE, "../../..");
const out = process.argv[2] ?? join(ROOT, "models/ajet-lake");
const work = mkdtempSync(join(tmpdir(), "ajet-lake-"));

run(["--import", "tsx", join(RECIPE, "prepare.ts"), work]);
const looker = join(work, "looker");
sft("looking", work, looker, ["--lr", "3e-3", "--warmup", "15"]);
sft("mixed", looker, out, ["--lr", "1e-3", "--warmup", "5", "--dtype", "bfloat16"]);
rmSync(work, { recursive: true });

function sft(lesson: string, from: string, to: string, options: string[]): void {
  const places = ["--data", join(work, `${lesson}.jsonl`), "--model", from, "--out", to];
  const common = ["--batch-size", "24", "--weight-decay", "0.05", "--seed", "1"];
  run([join(ROOT, "dist/cli/main.js"), "sft", ...places, ...common, ...options]);
}

function run(args: string[]): void {
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
