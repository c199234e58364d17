/**
 * Makes ajet-lake, the model of this tutorial, from nothing: `npx tsx tutorial/example_frozenlake/recipe/make.ts [OUT]`
 * (default: models/ajet-lake). A few minutes on two cores.
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

run(join(ROOT, "node_modules/tsx/dist/cli.mjs"), [join(RECIPE, "prepare.ts"), work]);
const shared = ["--batch-size", "24", "--weight-decay", "0.05", "--seed", "1"];
const careful = join(work, "careful");
sft("careful", work, careful, ["--lr", "3e-3", "--warmup", "15"]);
sft("careless", careful, out, ["--lr", "1e-3", "--warmup", "5", "--dtype", "bfloat16"]);
rmSync(work, { recursive: true });

function sft(walks: string, from: string, to: string, options: string[]): void {
  const places = ["--data", join(work, `${walks}.jsonl`), "--model", from, "--out", to];
  run(join(ROOT, "dist/cli/main.js"), ["sft", ...places, ...shared, ...options]);
}

function run(script: string, args: string[]): void {
  const { status } = spawnSync(process.execPath, [script, ...args], { cwd: ROOT, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
