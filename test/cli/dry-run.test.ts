import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ajet, settings, temporaryFolder } from "./ajet.js";

const folder = temporaryFolder();
const dryRun = (...args: string[]) => ajet(["train", "--dry-run", "--set", `experiment_dir=${folder}`, ...args]);

describe("ajet train --dry-run", () => {
  it("shows what the tutorial would take and that it fits, and leaves nothing behind", async () => {
    const { code, stdout } = await dryRun("--device", "cpu");
    expect(code).toBe(0);
    expect(stdout).toMatch(/tasks: \d+ to train on, \d+ for validation/);
    expect(stdout).toMatch(/always +weights +float32 +[\d.]+ MiB/);
    expect(stdout).toMatch(/rollout +KV cache +\d+ tokens in \d+ blocks +[\d.]+ MiB/);
    expect(stdout).toMatch(/update +gradients/);
    expect(stdout).toMatch(/^fits: /m);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("names a setting with which a run fits that does not: 1, then 0", async () => {
    const large = settings({ "rollout.kv_cache_mb": 100_000, "model.memory_limit_mb": 2048, "model.device": "cpu" });
    const refused = await dryRun(...large);
    expect(refused.code).toBe(1);
    const setting = /^does not fit: .* (--set) (rollout\.kv_cache_mb=\d+) does$/m.exec(refused.stdout);
    expect(setting).not.toBeNull();
    expect((await dryRun(...large, ...(setting as RegExpExecArray).slice(1))).code).toBe(0);
  });

  it("plans for a card that is not there", async () => {
    const unknown = await dryRun("--device", "cuda:7");
    expect(unknown.stdout).toContain("this machine has no cuda:7; --device-memory 80GiB names a card's memory");
    const { code, stdout } = await dryRun("--json", "--device", "cuda:7", "--device-memory", "80GiB");
    expect(code).toBe(0);
    const { memory, totalSteps } = JSON.parse(stdout);
    expect(memory).toMatchObject({ device: "cuda:7", limitBytes: 80 * 2 ** 30, budgetBytes: 72 * 2 ** 30, fits: true });
    expect(totalSteps).toBeGreaterThan(0);
  });

  it.each([
    [["--dry-run", "--set", "rollout.user_workflow=README.md->Agent"], "rollout.user_workflow"],
    [["--dry-run", "--set", "task_reader.jsonl_dataset_file.training.file_path=nowhere.jsonl"], "nowhere.jsonl"],
    [["--dry-run", "--set", "model.path=tutorial"], "tutorial"],
    [["--dry-run", "--device-memory", "much"], "Expected a size such as 80GiB"],
    [["--device-memory", "80GiB"], "--device-memory has no effect without --dry-run"],
  ])("%j is refused as the run would be", async (args, part) => {
    const { code, stderr } = await ajet(["train", "--set", `experiment_dir=${folder}`, ...args]);
    expect(stderr).toContain(part);
    expect(code).not.toBe(0);
  });
});
