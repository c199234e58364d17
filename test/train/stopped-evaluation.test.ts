import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dump } from "js-yaml";
import { describe, expect, it } from "vitest";
import { ROOT } from "../../bench/campaigns/ajet.mjs";
import { loadConfig } from "../../src/config/load-config.js";
import { AbortError } from "../../src/native/errors.js";
import { RunFolder } from "../../src/train/run-folder.js";
import { runTraining } from "../../src/train/training-run.js";
import { jsonLines, runDigest, temporaryFolder, tinyRun } from "../cli/ajet.js";

const folder = temporaryFolder();
const yamlFile = join(ROOT, "tutorial/example_math_agent/math_agent.yaml");
const STEPS = 2;
const SETTINGS = {
  "trainer_common.total_training_steps": STEPS,
  "trainer_common.save_freq": 0,
  "trainer_common.test_freq": 1,
};

/** Trains in this process, so that it can be stopped as a phase begins. */
async function train(name: string, { resume = false, stopAt = "" } = {}): Promise<void> {
  const values = tinyRun(folder, name, SETTINGS).filter((argument) => argument !== "--set");
  const { config } = loadConfig(yamlFile, values);
  const run = new RunFolder(folder, name);
  const stop = new AbortController();
  await runTraining({
    config,
    yamlFile,
    packageRoot: ROOT,
    folder: run,
    claimFolder: () => resume || run.start("train", yamlFile, dump({ ajet: config })),
    resume,
    signal: stop.signal,
    listener: { onPhase: (phase) => phase === stopAt && stop.abort() },
  });
}

const validation = (name: string) => jsonLines(readFileSync(join(folder, name, "validation.jsonl"), "utf8"));
const timeless = (name: string) => validation(name).map((line) => ({ ...line, "timing_s/testing": 0 }));

describe("a run that is stopped in an evaluation", () => {
  it("makes it up when it is resumed, and ends like one that never was", async () => {
    await expect(train("stopped", { stopAt: "evaluation after step 1" })).rejects.toThrow(AbortError);
    expect(validation("stopped").map((line) => line.step)).toEqual([0]);
    await train("stopped", { resume: true });
    await train("whole");
    expect(timeless("stopped")).toEqual(timeless("whole"));
    expect(runDigest(join(folder, "stopped"), STEPS)).toBe(runDigest(join(folder, "whole"), STEPS));
  });
});
