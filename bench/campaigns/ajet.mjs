/** What campaigns and tests share: the compiled command line, tiny runs of the tutorial, and what of a run no clock decides. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MAIN = join(ROOT, "dist/cli/main.js");

/** A running `ajet`. `finished` resolves to its exit code, signal and output. */
export class Ajet {
  stdout = "";
  stderr = "";

  constructor(args, { cwd = ROOT, env = {}, input = "" } = {}) {
    this.child = spawn(process.execPath, [MAIN, ...args], { cwd, env: { ...process.env, ...env }, stdio: "pipe" });
    this.child.stdin.end(input);
    for (const name of ["stdout", "stderr"]) {
      this.child[name].setEncoding("utf8").on("data", (text) => {
        this[name] += text;
      });
    }
    this.finished = new Promise((resolve, reject) => {
      this.child.on("error", reject);
      this.child.on("close", (code, signal) => resolve({ code, signal, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  /** Resolves when a condition holds; rejects when the process ends first. */
  async until(condition) {
    let ended = false;
    void this.finished.then(() => {
      ended = true;
    });
    while (!condition()) {
      if (ended) throw new Error(`ajet ended early:\n${this.stdout}${this.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

/** Runs `ajet` to its end. */
export function ajet(args, options) {
  return new Ajet(args, options).finished;
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
    "trainer_common.total_training_steps": 4,
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
  for (const [name, content] of Object.entries(checkpointDigest(run, step))) digest.update(name).update(content);
  digest.update(JSON.stringify(timelessMetrics(run)));
  digest.update(JSON.stringify(timelessSummary(run)));
  return digest.digest("hex");
}

/** Weights and moments of a checkpoint, as a digest of each file. */
export function checkpointDigest(run, step) {
  const folder = join(run, "checkpoints", `step_${step}`);
  const files = readdirSync(folder).filter((name) => name !== "run_state.json");
  const digestOf = (name) =>
    createHash("sha256")
      .update(readFileSync(join(folder, name)))
      .digest("hex");
  return Object.fromEntries(files.sort().map((name) => [name, digestOf(name)]));
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

/** summary.json without what a clock decides. */
export function timelessSummary(run) {
  const { wall_seconds, total_seconds, ...summary } = JSON.parse(readFileSync(join(run, "summary.json"), "utf8"));
  return summary;
}
