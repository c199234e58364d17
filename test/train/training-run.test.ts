import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { ajet, type Finished, jsonLines, readJson, temporaryFolder, tinyRun } from "../cli/ajet.js";
import { loggedEpisodes } from "../cli/logged-episodes.js";

const folder = temporaryFolder();
const run = join(folder, "whole");
let finished: Finished;

beforeAll(async () => {
  finished = await ajet([
    "train",
    "--json",
    ...tinyRun(folder, "whole", {
      "trainer_common.save_freq": 0,
      "trainer_common.test_freq": 1,
      "trainer_common.keep_checkpoints": 1,
      "trainer_common.optim.offload": "moments_and_master",
      "trainer_common.checkpoint_base_dir": join(folder, "kept"),
      "data.validation_limit": 6,
      "rollout.num_repeat": 3,
    }),
  ]);
  expect(finished.stderr).not.toContain("error");
  expect(finished.code).toBe(0);
});

describe("a training run", () => {
  it("prints JSON lines on stdout and nothing else", () => {
    const lines = jsonLines(finished.stdout);
    const summary = lines.at(-1);
    expect(summary).toEqual(readJson(run, "summary.json"));
    expect(lines.filter((line) => line.step !== undefined).map((line) => line.step)).toEqual([1, 2, 3, 4]);
    expect(lines.filter((line) => line.evaluation !== undefined).map((line) => line.evaluation)).toEqual([
      "before training",
      "after step 1",
      "after step 2",
      "after step 3",
      "after step 4",
    ]);
  });

  it("says once which isolation the Python tool has, and warns of nothing", () => {
    expect(finished.stderr.match(/Python tool: /g)).toHaveLength(1);
    expect(finished.stderr).not.toContain("Warning");
  });

  it("says once what has no effect on this device", () => {
    expect(finished.stderr.match(/`trainer_common\.optim\.offload` has no effect here: the CPU/g)).toHaveLength(1);
  });

  it("writes the configuration as resolved: it loads again, to the same values", () => {
    const { config } = loadConfig(join(run, "config.yaml"));
    expect(config.trainer_common.total_training_steps).toBe(4);
    expect(config.trainer_common.optim.beta2).toBe(0.999);
    expect(config.rollout.num_repeat).toBe(3);
  });

  it("writes one line of metrics a step", () => {
    const metrics = jsonLines(readFileSync(join(run, "metrics.jsonl"), "utf8"));
    expect(metrics.map((line) => line.step)).toEqual([1, 2, 3, 4]);
    for (const line of metrics) {
      expect(line["rollout/episodes"]).toBe(6);
      expect(line["critic/rewards/mean"]).toBeGreaterThanOrEqual(0);
      expect(line["timing_s/step"]).toBeCloseTo(line["timing_s/gen"] + line["timing_s/update_actor"], 9);
      for (const value of Object.values(line)) expect(value).toBeTypeOf("number");
    }
  });

  it("has every key of the contract in summary.json, and counts that add up", () => {
    const summary = readJson(run, "summary.json");
    const metrics = jsonLines(readFileSync(join(run, "metrics.jsonl"), "utf8"));
    const total = (key: string) => metrics.reduce((sum, line) => sum + (line[key] ?? 0), 0);
    expect(summary).toMatchObject({
      steps: 4,
      validation_tasks: 6,
      episodes: 4 * 2 * 3,
      episodes_dropped: 0,
      logprob_max_abs_diff: 0,
      logprobs_compared: total("rollout/logprobs_compared"),
      tokens_generated: total("rollout/tokens_generated"),
      tokens_trained: total("train/tokens_trained"),
      tokens_trained_unshared: total("train/tokens_unshared"),
      calls_trained: total("rollout/calls_trained"),
      calls_merged: total("rollout/calls_merged"),
      calls_dropped: total("rollout/calls_dropped"),
    });
    expect(summary.logprobs_compared).toBeGreaterThan(0);
    for (const key of ["success_rate_before", "success_rate_after"]) {
      expect(summary[key] * 6).toBeCloseTo(Math.round(summary[key] * 6), 9);
      expect(summary[`greedy_${key}`] * 6).toBeCloseTo(Math.round(summary[`greedy_${key}`] * 6), 9);
    }
    expect(summary.total_seconds).toBeGreaterThan(summary.wall_seconds);
    expect(summary.wall_seconds).toBeCloseTo(total("timing_s/step"), 6);
  });

  it("logs every captured call with what became of it", async () => {
    const summary = readJson(run, "summary.json");
    const episodes = await loggedEpisodes(run);
    expect(episodes).toHaveLength(summary.episodes);
    const calls = episodes.flatMap((episode) => episode.calls);
    const count = (fate: string) => calls.filter((call) => call.verdict.fate === fate).length;
    expect([count("trained"), count("merged"), count("dropped")]).toEqual([
      summary.calls_trained,
      summary.calls_merged,
      summary.calls_dropped,
    ]);
    expect(calls).toHaveLength(summary.calls_trained + summary.calls_merged + summary.calls_dropped);
    for (const call of calls) {
      expect(call.logprobs).toHaveLength(call.sampledIds.length);
      expect(call.verdict.fate === "dropped").toBe(call.verdict.reason !== undefined);
    }
    expect(calls.reduce((sum, call) => sum + call.sampledIds.length, 0)).toBe(summary.tokens_generated);
  });

  it("keeps the newest checkpoint and the best one, below checkpoint_base_dir and the project's name", () => {
    const { best_step: best } = readJson(run, "summary.json");
    const kept = readdirSync(join(folder, "kept/math_agent/whole")).sort();
    expect(kept).toEqual([...new Set([`step_${best}`, "step_4"])].sort());
    expect(existsSync(join(run, "checkpoints"))).toBe(false);
    const rates = jsonLines(finished.stdout).flatMap((line) =>
      line.evaluation?.startsWith("after") ? [line.sampled.success_rate] : [],
    );
    expect(rates.indexOf(Math.max(...rates)) + 1).toBe(best);
  });

  it("saves checkpoints that are Hugging Face folders: `ajet eval` loads one", async () => {
    const checkpoint = join(folder, "kept/math_agent/whole/step_4");
    expect(readdirSync(checkpoint)).toEqual(
      expect.arrayContaining(["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"]),
    );
    const result = await ajet([
      "eval",
      "--json",
      "--model",
      checkpoint,
      "--limit",
      "6",
      "--temperature",
      "0",
      ...tinyRun(folder, "of-checkpoint", {}),
    ]);
    expect(result.stderr).not.toContain("error");
    const [summary] = jsonLines(result.stdout);
    expect(summary).toEqual(readJson(folder, "of-checkpoint/summary.json"));
    expect(summary).toMatchObject({ validation_tasks: 6, episodes: 6, episodes_dropped: 0 });
    // The same weights on the same problems, greedily: as the run's own last evaluation.
    expect(summary.success_rate).toBe(readJson(run, "summary.json").greedy_success_rate_after);
    expect(readdirSync(join(folder, "of-checkpoint")).sort()).toEqual(["config.yaml", "run.json", "summary.json"]);
  });
});
