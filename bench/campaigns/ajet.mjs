/** What the campaigns share: the compiled command line, tiny runs of the tutorial, and digests of what they leave. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Starts `ajet`; `finished` resolves to its exit code, signal and output. */
export function startAjet(args, options = {}) {
  const child = spawn(process.execPath, [join(ROOT, "dist/cli/main.js"), ...args], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    ...options,
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const finished = new Promise((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, finished };
}

/** `--set` for each key. */
export function settings(values) {
  return Object.entries(values).flatMap(([key, value]) => ["--set", `${key}=${JSON.stringify(value)}`]);
}

/** The tutorial, cut down to seconds. */
export function tinyRun(experimentDir, name, values = {}) {
  return settings({
    experiment_dir: experimentDir,
    experiment_name: name,
    "task_reader.jsonl_dataset_file.unseen.file_path": null,
    "trainer_common.save_freq": 1,
    "data.train_batch_size": 2,
    "data.validation_limit": 4,
    "rollout.num_repeat": 4,
    "rollout.max_response_length_in_one_turn": 48,
    ...values,
  });
}

/** Everything of a run that must not depend on when it was killed, or on how many episodes ran at once. */
export function runDigest(run, step) {
  const digest = createHash("sha256");
  const folder = join(run, "checkpoints", `step_${step}`);
  for (const name of readdirSync(folder).sort()) {
    if (name !== "run_state.json") digest.update(name).update(readFileSync(join(folder, name)));
  }
  digest.update(JSON.stringify(timelessMetrics(run)));
  const { wall_seconds, total_seconds, ...summary } = JSON.parse(readFileSync(join(run, "summary.json"), "utf8"));
  digest.update(JSON.stringify(summary));
  return digest.digest("hex");
}

/** metrics.jsonl without what a clock decides. */
export function timelessMetrics(run) {
  const file = join(run, "metrics.jsonl");
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  return lines.map((line) =>
    Object.fromEntries(Object.entries(JSON.parse(line)).filter(([key]) => !/^(timing_s|perf)\//.test(key))),
  );
}
