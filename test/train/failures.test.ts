import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ajet, checkpointDigest, jsonLines, MODEL, readJson, temporaryFolder, tinyRun } from "../cli/ajet.js";
import { loggedEpisodes } from "../cli/logged-episodes.js";

const folder = temporaryFolder();

describe("a workflow that misbehaves in some episodes", () => {
  /** What an episode does, by its sample. */
  const WORKFLOW = `
    import { Workflow, type WorkflowTask, type Tuner } from "ajet";
    export class Misbehaving extends Workflow {
      async execute({ sample, mode, task }: WorkflowTask, tuner: Tuner) {
        const client = tuner.asRawOpenaiSdkClient();
        const messages = [{ role: "user" as const, content: task.mainQuery }];
        await client.chat.completions.create({ model: "any", messages, max_tokens: 4 });
        if (mode === "train") {
          if (sample === 1) throw new Error("no luck");
          if (sample === 2) await new Promise(() => {});
          if (sample === 3) for (;;) {}
          if (sample === 4) process.exit(3);
          if (sample === 5) setTimeout(() => { throw new Error("too late"); }, 1);
          if (sample === 6) return { reward: Number.NaN, metadata: {} };
        }
        console.log("finished sample", sample);
        return { reward: sample === 0 ? 1 : 0, metadata: {} };
      }
    }`;

  it("ends the run where every episode fails, and keeps it", async () => {
    const workflow = join(folder, "failing.ts");
    writeFileSync(workflow, `export class Failing { execute() { throw new Error("no luck at all"); } }`);
    const { code, stderr } = await ajet([
      "train",
      ...tinyRun(folder, "failing", {
        "rollout.user_workflow": `${workflow}->Failing`,
        "rollout.max_attempts": 1,
        "trainer_common.val_before_train": false,
        "trainer_common.save_freq": 0,
        "trainer_common.total_training_steps": 9,
      }),
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/All episodes of the last 3 steps were dropped.*no luck at all \(8 dropped; .*--resume/);
    expect(readdirSync(join(folder, "failing/checkpoints"))).toEqual(["step_3"]);
  });

  it("loses these episodes alone, and says why", async () => {
    const workflow = join(folder, "misbehaving.ts");
    writeFileSync(workflow, WORKFLOW);
    const { code, stdout, stderr } = await ajet([
      "train",
      "--json",
      ...tinyRun(folder, "misbehaving", {
        "rollout.user_workflow": `${workflow}->Misbehaving`,
        "rollout.episode_timeout_s": 6,
        "rollout.max_attempts": 1,
        "rollout.num_repeat": 8,
        "trainer_common.total_training_steps": 1,
        "data.train_batch_size": 1,
        "data.validation_limit": 2,
      }),
    ]);
    expect(code).toBe(0);
    const summary = readJson(folder, "misbehaving/summary.json");
    // Samples 0 and 7 end well; 5 may end before its timer fires.
    expect(summary.episodes).toBe(8);
    expect([5, 6]).toContain(summary.episodes_dropped);
    const reasons = Object.entries(summary.drop_reasons as Record<string, number>);
    const count = (start: string) =>
      reasons.reduce((sum, [reason, times]) => sum + (reason.startsWith(start) ? times : 0), 0);
    expect(count("episode: ")).toBe(summary.episodes_dropped);
    expect(count("call: ")).toBe(summary.calls_dropped);
    expect(summary.drop_reasons).toMatchObject({ "episode: exited": 1 });
    // A loop counts as stalled by its CPU time: on a busy machine its time limit is up before.
    const { "episode: timeout": timeout, "episode: stalled": stalled = 0 } = summary.drop_reasons;
    expect(timeout + stalled).toBe(2);
    expect(summary.episodes_unrepeatable).toBeGreaterThanOrEqual(2);

    const episodes = await loggedEpisodes(join(folder, "misbehaving"));
    const calls = episodes.flatMap((episode) => episode.calls);
    expect(calls).toHaveLength(summary.calls_trained + summary.calls_merged + summary.calls_dropped);
    expect(episodes[1]).toMatchObject({ reward: null, dropped: "workflow", failure: { kind: "workflow" } });
    expect(episodes[1].calls[0].verdict).toEqual({ fate: "dropped", reason: "episode_failed" });

    expect(stderr).toContain("failed episodes, by cause");
    expect(stderr).toContain("The workflow threw Error: no luck (1 dropped");
    expect(stderr).toContain("The workflow called process.exit(3)");
    expect(stderr).toContain("this run no longer repeats to the last bit");
    expect(stderr).toContain("agent | finished sample 0");
    expect(jsonLines(stdout).at(-1)).toEqual(summary);
  });
});

describe("NaN", () => {
  it("stops the run before anything is done with it: an optimizer that explodes", async () => {
    const { code, stderr } = await ajet([
      "train",
      ...tinyRun(folder, "exploding", {
        "trainer_common.optim.weight_decay": 1e300,
        "trainer_common.optim.schedule": "constant",
        "trainer_common.optim.warmup_steps": 0,
      }),
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/error \[ERR_AJET_NUMERIC\]: The run stopped after \d updates/);
    expect(stderr).toMatch(/The last checkpoint is .*step_\d/);
    expect(existsSync(join(folder, "exploding/summary.json"))).toBe(false);
  });

  it("stops the run before the first step: infinity in the weights", async () => {
    const model = join(folder, "infinite");
    cpSync(MODEL, model, { recursive: true });
    const file = join(model, "model.safetensors");
    const bytes = readFileSync(file);
    const headerLength = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, 8 + headerLength).toString());
    const { dtype, data_offsets } = header["model.norm.weight"];
    const place = 8 + headerLength + data_offsets[0];
    if (dtype === "BF16") bytes.writeUInt16LE(0x7f80, place);
    else bytes.writeFloatLE(Number.POSITIVE_INFINITY, place);
    writeFileSync(file, bytes);
    const { code, stderr } = await ajet(["train", ...tinyRun(folder, "infinite-run", { "model.path": model })]);
    expect(code).toBe(1);
    expect(stderr).toContain("ERR_AJET_NUMERIC");
    expect(stderr).toContain("There is no checkpoint yet");
  });
});

describe("a learning rate that destroys the policy", () => {
  it("is told of as soon as it shows", async () => {
    const optim = { "trainer_common.optim.lr": 0.5, "trainer_common.total_training_steps": 2 };
    const { code, stderr } = await ajet(["train", ...tinyRun(folder, "collapsing", optim)]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/warning: policy collapsed: in step 2, .* Lower `trainer_common\.optim\.lr` \(it is 0\.5\)/);
  });
});

describe("a full disk", () => {
  const disk = join(folder, "disk");
  const mounted = (() => {
    mkdirSync(disk);
    return spawnSync("mount", ["-t", "tmpfs", "-o", "size=36m", "tmpfs", disk]).status === 0;
  })();

  it.skipIf(!mounted)("is a clear error that leaves the last checkpoint whole (needs the right to mount)", async () => {
    try {
      const settings = { "trainer_common.keep_checkpoints": 1 };
      const { code, stderr } = await ajet(["train", ...tinyRun(disk, "full", settings)]);
      expect(code).toBe(1);
      expect(stderr).toMatch(/The checkpoint .*step_2 could not be written \(the last one is .*step_1\)/);
      expect(stderr).toMatch(/No space left|ENOSPC/);
      expect(readdirSync(join(disk, "full/checkpoints"))).toEqual(["step_1"]);
      // With room again, the run goes on from there.
      cpSync(join(disk, "full"), join(folder, "full"), { recursive: true });
      const more = ["--set", `experiment_dir=${folder}`, "--set", "trainer_common.total_training_steps=2"];
      expect((await ajet(["train", "--resume", "full", ...more])).code).toBe(0);
      expect(Object.keys(checkpointDigest(join(folder, "full"), 2))).toContain("model.safetensors");
    } finally {
      spawnSync("umount", [disk]);
    }
  });
});
