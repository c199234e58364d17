import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import {
  Ajet,
  ajet,
  checkpointDigest,
  jsonLines,
  readJson,
  settings,
  temporaryFolder,
  timelessMetrics,
  timelessSummary,
  tinyRun,
} from "../cli/ajet.js";
import { loggedEpisodes } from "../cli/logged-episodes.js";

const folder = temporaryFolder();
const whole = join(folder, "whole");
const STEPS = 4;
/** Holds weights, moments and a small KV cache of the tutorial's model, but not its updates. */
const LIMIT_MB = 42;
const SETTINGS = { "trainer_common.keep_checkpoints": 10, "trainer_common.total_training_steps": STEPS };

beforeAll(async () => {
  const { code, stderr } = await ajet(["train", ...tinyRun(folder, "whole", SETTINGS)]);
  expect(stderr).not.toContain("error");
  expect(code).toBe(0);
});

function steps(run: string): number {
  const file = join(run, "metrics.jsonl");
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0;
}

/** True while a checkpoint is being written. */
function isSaving(run: string): boolean {
  const checkpoints = join(run, "checkpoints");
  return existsSync(checkpoints) && readdirSync(checkpoints).some((name) => name.includes(".tmp-"));
}

/**
 * Starts a run and kills it at a moment of it; gives its name. A machine that is busy may look too late: then another one.
 */
async function killAt(moment: string, isReached: (run: string) => boolean): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const name = `killed ${moment} ${attempt}`;
    const running = new Ajet(["train", ...tinyRun(folder, name, SETTINGS)]);
    const missed = await running.until(() => isReached(join(folder, name))).catch((error: Error) => error);
    running.child.kill("SIGKILL");
    const { signal, code, stderr } = await running.finished;
    if (signal === "SIGKILL") return name;
    expect(code, stderr).toBe(0);
    if (attempt === 10) throw missed ?? new Error(`No run was killed ${moment}`);
  }
}

async function expectSame(run: string): Promise<void> {
  expect(checkpointDigest(run, STEPS)).toEqual(checkpointDigest(whole, STEPS));
  expect(timelessMetrics(run)).toEqual(timelessMetrics(whole));
  expect(timelessSummary(run)).toEqual(timelessSummary(whole));
  expect(await loggedEpisodes(run)).toEqual(await loggedEpisodes(whole));
}

async function resume(name: string): Promise<string> {
  const { code, stderr } = await ajet(["train", "--resume", name, "--set", `experiment_dir=${folder}`]);
  expect(stderr).not.toContain("error");
  expect(code).toBe(0);
  return stderr;
}

describe("a run that is killed", () => {
  it.each([
    ["before its first step", (run: string) => existsSync(join(run, "config.yaml"))],
    ["after a step", (run: string) => steps(run) >= 2],
    ["while it writes a checkpoint", (run: string) => steps(run) === 3 && isSaving(run)],
  ])("%s ends, once resumed, like one that never was", async (moment, isReached) => {
    const name = await killAt(moment, isReached);
    const run = join(folder, name);
    await resume(name);
    await expectSame(run);
    expect(readdirSync(join(run, "checkpoints")).filter((entry) => !/^step_\d+$/.test(entry))).toEqual([]);
  });

  it("is cut back to its newest checkpoint, metrics and token log too", async () => {
    const run = join(folder, "cut");
    cpSync(whole, run, { recursive: true });
    rmSync(join(run, "summary.json"));
    for (const step of [3, 4]) rmSync(join(run, "checkpoints", `step_${step}`), { recursive: true });
    const { code, stderr } = await ajet([
      "train",
      "--resume",
      "cut",
      ...["--set", `experiment_dir=${folder}`, "--set", "trainer_common.save_freq=2"],
    ]);
    expect(code).toBe(0);
    expect(stderr).toContain("the run goes on with its own");
    expect(stderr).toContain("changed by --set");
    await expectSame(run);
    expect(readdirSync(join(run, "checkpoints")).sort()).toEqual(["step_1", "step_2", "step_4"]);
  });
});

describe("a run that is out of memory", () => {
  it("says what was planned and what to lower, and goes on with more as if nothing had been", async () => {
    const run = join(folder, "memory");
    cpSync(whole, run, { recursive: true });
    rmSync(join(run, "summary.json"));
    for (const step of [3, 4]) rmSync(join(run, "checkpoints", `step_${step}`), { recursive: true });
    const checkpoint = checkpointDigest(run, 2);

    const resumed = ["train", "--resume", "memory", ...settings({ experiment_dir: folder })];
    const small = settings({
      "model.device": "cpu",
      "model.memory_limit_mb": LIMIT_MB,
      "model.share_weights": false, // shared ones are the system's, not the limit's
      "rollout.kv_cache_mb": 4,
      "rollout.max_model_len": 512,
      "trainer_common.recompute": "none",
    });
    const refused = await ajet([...resumed, ...small]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("error [ERR_AJET_OUT_OF_MEMORY]");
    expect(refused.stderr).toMatch(/Expected \d+ bytes of memory but the limit is \d+/);
    expect(refused.stderr).toMatch(/update +activations +4096 tokens +[\d.]+ MiB/);
    expect(refused.stderr).toMatch(/With --set trainer_common\.\w+=\w+ it would fit; --resume goes on/);
    expect(checkpointDigest(run, 2)).toEqual(checkpoint);

    const again = await ajet([...resumed, ...settings({ "model.memory_limit_mb": null, "rollout.max_model_len": 0 })]);
    expect(again.code).toBe(0);
    await expectSame(run);
  });
});

describe("a run that is stopped", () => {
  it.each(["SIGINT", "SIGTERM"] as const)("by %s saves its last step, leaves with 130 and goes on", async (signal) => {
    const run = join(folder, signal);
    // Nothing but the signal saves anything here.
    const running = new Ajet(["train", ...tinyRun(folder, signal, { ...SETTINGS, "trainer_common.save_freq": 0 })]);
    await running.until(() => steps(run) >= 1);
    running.child.kill(signal);
    const { code, stderr } = await running.finished;
    expect(code).toBe(130);
    expect(stderr).toContain("is being saved");
    expect(stderr).not.toContain("Warning");
    const saved = readdirSync(join(run, "checkpoints"));
    expect(saved).toHaveLength(1);
    expect(existsSync(join(run, "summary.json"))).toBe(false);
    await resume(signal);
    await expectSame(run);
  });
});

describe("--resume", () => {
  it("takes the newest training run of the YAML, by its own configuration", async () => {
    const own = temporaryFolder();
    cpSync(whole, join(own, "older"), { recursive: true });
    await new Promise((resolve) => setTimeout(resolve, 20));
    cpSync(whole, join(own, "newest"), { recursive: true });
    const { code, stdout, stderr } = await ajet(["train", "--json", "--resume", "--set", `experiment_dir=${own}`]);
    expect(code).toBe(0);
    expect(stderr).toContain(`run ${join(own, "newest")}`);
    expect(stderr).toContain("trainer_common.total_training_steps");
    expect(stderr).toContain(`all ${STEPS} steps done`);
    expect(jsonLines(stdout).at(-1).steps).toBe(STEPS);
    await expectSame(join(own, "newest"));
  });

  it.each([
    [["train", "--resume", "nowhere"], "There is no run in"],
    [["train", "--resume"], "There is no run of"],
    [["train", ...["--set", "experiment_name=evaluation"], "--resume"], "holds an evaluation"],
    [["train", "other.yaml", "--resume", "whole"], "Cannot read the configuration"],
  ])("refuses %j", async (args, message) => {
    const own = temporaryFolder();
    mkdirSync(join(own, "evaluation"));
    writeFileSync(join(own, "evaluation/run.json"), JSON.stringify({ ...readJson(whole, "run.json"), kind: "eval" }));
    const { code, stderr } = await ajet([...args, "--set", `experiment_dir=${own}`]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  it("refuses a new run in the folder of another, and a run that still goes on", async () => {
    const again = await ajet(["train", ...tinyRun(folder, "whole")]);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain("--resume whole");

    const name = "still going";
    const running = new Ajet([
      "train",
      ...tinyRun(folder, name, { ...SETTINGS, "trainer_common.total_training_steps": 50 }),
    ]);
    await running.until(() => existsSync(join(folder, name, "run.json")));
    const second = await ajet(["train", "--resume", `${join(folder, name)}/`, "--set", `experiment_dir=${folder}`]);
    running.child.kill("SIGKILL");
    await running.finished;
    expect(second.code).toBe(2);
    expect(second.stderr).toContain(`Process ${running.child.pid} still works on`);
  });
});

describe("parallelism", () => {
  it("does not show: one episode at a time and one thread give the weights of 64 and two", async () => {
    const { code } = await ajet([
      "train",
      ...["--threads", "1"],
      ...tinyRun(folder, "alone", { ...SETTINGS, "rollout.max_env_worker": 1, "rollout.worker_threads": 1 }),
    ]);
    expect(code).toBe(0);
    expect(readJson(folder, "alone/summary.json").steps).toBe(STEPS);
    await expectSame(join(folder, "alone"));
  });
});
