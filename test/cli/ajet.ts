import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

/** The checkout. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const MODEL = join(ROOT, "models/ajet-tiny");
const MAIN = join(ROOT, "dist/cli/main.js");

export interface Finished {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** A running `ajet`. */
export class Ajet {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  stdout = "";
  stderr = "";

  constructor(args: string[], options: { cwd?: string; env?: NodeJS.ProcessEnv; input?: string } = {}) {
    this.child = spawn(process.execPath, [MAIN, ...args], {
      cwd: options.cwd ?? ROOT,
      env: { ...process.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.child.stdin?.end(options.input ?? "");
    this.child.stdout?.on("data", (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr?.on("data", (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.finished = new Promise((resolve, reject) => {
      this.child.on("error", reject);
      this.child.on("close", (code, signal) => resolve({ code, signal, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  /** Resolves when a condition holds; rejects when the process ends first. */
  async until(condition: () => boolean): Promise<void> {
    let ended = false;
    void this.finished.then(() => (ended = true));
    while (!condition()) {
      if (ended) throw new Error(`ajet ended early:\n${this.stdout}${this.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

/** Runs `ajet` to its end. */
export function ajet(args: string[], options: ConstructorParameters<typeof Ajet>[1] = {}): Promise<Finished> {
  return new Ajet(args, options).finished;
}

/** A folder that is removed after the test file, or after the test that asks for it. */
export function temporaryFolder(afterTest = false): string {
  const folder = mkdtempSync(join(tmpdir(), "ajet-cli-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  if (afterTest) onTestFinished(remove);
  else process.on("exit", remove);
  return folder;
}

/** `--set` for each key. */
export function settings(values: Record<string, unknown>): string[] {
  return Object.entries(values).flatMap(([key, value]) => ["--set", `${key}=${JSON.stringify(value)}`]);
}

/** The tutorial, cut down to seconds. */
export function tinyRun(experimentDir: string, name: string, values: Record<string, unknown> = {}): string[] {
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

/** The objects of a JSONL text. */
// biome-ignore lint/suspicious/noExplicitAny: what tests look into
export function jsonLines(text: string): any[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

// biome-ignore lint/suspicious/noExplicitAny: what tests look into
export function readJson(...path: string[]): any {
  return JSON.parse(readFileSync(join(...path), "utf8"));
}

/** Weights and moments of a checkpoint, as a digest of each file. */
export function checkpointDigest(run: string, step: number): Record<string, string> {
  const folder = join(run, "checkpoints", `step_${step}`);
  const files = readdirSync(folder).filter((name) => name !== "run_state.json");
  return Object.fromEntries(
    files.sort().map((name) => [
      name,
      createHash("sha256")
        .update(readFileSync(join(folder, name)))
        .digest("hex"),
    ]),
  );
}

/** metrics.jsonl without what a clock decides. */
export function timelessMetrics(run: string): Record<string, number>[] {
  return jsonLines(readFileSync(join(run, "metrics.jsonl"), "utf8")).map((metrics) =>
    Object.fromEntries(Object.entries(metrics).filter(([key]) => !/^(timing_s|perf)\//.test(key))),
  ) as Record<string, number>[];
}

/** summary.json without what a clock decides. */
export function timelessSummary(run: string): Record<string, unknown> {
  const { wall_seconds: _, total_seconds: __, ...summary } = readJson(run, "summary.json");
  return summary;
}
