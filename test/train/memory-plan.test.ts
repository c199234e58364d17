import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { resolveConfig } from "../../src/config/load-config.js";
import { applyOverrides } from "../../src/config/overrides.js";
import { NativeError } from "../../src/native/errors.js";
import { phaseBytes, planMemory } from "../../src/native/memory-plan.js";
import { PACKAGE_ROOT } from "../../src/native/package-root.js";
import { memoryTable, sizeText } from "../../src/report/memory-table.js";
import { fittingSetting } from "../../src/train/memory-advice.js";
import { planRun } from "../../src/train/memory-plan.js";

const MODEL = join(PACKAGE_ROOT, "models/ajet-tiny");
const CARD = 80 * 2 ** 30;

function configOf(...overrides: string[]) {
  const tree = { rollout: { user_workflow: "agent.ts->Agent" }, model: { path: MODEL } };
  applyOverrides(tree, overrides);
  return resolveConfig(tree, "test").config;
}

const names = (config: ReturnType<typeof configOf>) => planRun(config, MODEL).plan.entries.map(({ name }) => name);

describe("the plan of a run", () => {
  it("has 512 MiB of KV cache on the CPU, and is compared with the machine's memory", () => {
    const { plan, device, budgetBytes, fits } = planRun(configOf("model.device=cpu"), MODEL);
    expect(device).toBe("cpu");
    expect(plan.kvBytes).toBeLessThanOrEqual(512 * 2 ** 20);
    expect(plan.kvBytes).toBeGreaterThan(511 * 2 ** 20);
    expect(fits).toBe(plan.peakBytes <= budgetBytes);
  });

  it("fills a card that is not there up to gpu_memory_utilization", () => {
    const config = configOf("model.device=cuda", "rollout.gpu_memory_utilization=0.5", "rollout.max_num_seqs=65536");
    const { plan, device, limitBytes, budgetBytes, fits } = planRun(config, MODEL, { deviceBytes: CARD });
    expect([device, limitBytes, budgetBytes, fits]).toEqual(["cuda:0", CARD, CARD / 2, true]);
    expect(plan.peakBytes).toBeGreaterThan(0.99 * budgetBytes);
    expect(planRun(config, MODEL, { deviceBytes: CARD, trainer: false }).plan.kvBytes).toBeGreaterThan(plan.kvBytes);
  });

  it("has the optimizer's state in host memory where that is asked for", () => {
    const hosted = (offload: string) => {
      const config = configOf("model.device=cuda", `trainer_common.optim.offload=${offload}`);
      const { entries } = planRun(config, MODEL, { deviceBytes: CARD }).plan;
      return entries.filter(({ place }) => place === "host").map(({ name }) => name);
    };
    expect(hosted("none")).toEqual([]);
    expect(hosted("moments")).toEqual(["first moment", "second moment"]);
    expect(hosted("moments_and_master")).toEqual(["weights", "first moment", "second moment"]);
  });

  it("has the reference of a KL loss, and the frozen copy that answers for untrained agents", () => {
    expect(names(configOf())).not.toContain("reference");
    expect(names(configOf("trainer_common.use_kl_loss=true"))).toContain("reference");
    expect(names(configOf("rollout.trainable_targets=[a]"))).toContain("untrained agents");
    const outside = "rollout.untrained_agents.base_url=http://127.0.0.1:1";
    expect(names(configOf("rollout.trainable_targets=[a]", outside))).not.toContain("untrained agents");
  });

  it("is at most at once what is always there and the larger of rollout and update", () => {
    const { plan } = planRun(configOf(), MODEL);
    const [always, rollout, update] = (["always", "rollout", "update"] as const).map((it) => phaseBytes(plan, it));
    expect(plan.peakBytes).toBe((always as number) + Math.max(rollout as number, update as number));
  });
});

describe("advice for a run that does not fit", () => {
  it.each([
    ["the KV cache", ["rollout.kv_cache_mb=4096", "model.memory_limit_mb=2048"], "rollout.kv_cache_mb"],
    [
      "the update",
      ["rollout.kv_cache_mb=4", "trainer_common.max_batch_tokens=100000", "model.memory_limit_mb=400"],
      "trainer_common.max_batch_tokens",
    ],
    [
      "the optimizer's state",
      [
        "model.device=cuda",
        "rollout.kv_cache_mb=4",
        "trainer_common.max_batch_tokens=64",
        "rollout.max_model_len=64",
        "model.memory_limit_mb=35",
      ],
      "trainer_common.optim.offload",
    ],
  ])("names a smaller value of what is largest: %s", (_, overrides, key) => {
    const config = configOf(...overrides);
    const memory = planRun(config, MODEL);
    expect(memory.fits).toBe(false);
    const setting = fittingSetting(config, MODEL, memory) as string;
    expect(setting).toMatch(`${key}=`);
    expect(planRun(configOf(...overrides, setting), MODEL).fits).toBe(true);
  });

  it("is silent where nothing helps", () => {
    const config = configOf("model.memory_limit_mb=1");
    expect(fittingSetting(config, MODEL, planRun(config, MODEL))).toBeUndefined();
  });
});

describe("planMemory", () => {
  it("takes a config.json, and refuses what no model, engine or trainer takes", () => {
    const config = { model_type: "gpt2" } as never;
    expect(() => planMemory(config)).toThrow(NativeError);
    const tiny = JSON.stringify({ model_type: "llama" });
    expect(() => planMemory(tiny)).toThrow(/config/);
  });
});

describe("the table of a plan", () => {
  it("gives sizes in the unit that suits them, aligned", () => {
    expect([sizeText(2 ** 31), sizeText(3 * 2 ** 19), sizeText(512)]).toEqual(["2.00 GiB", "1.50 MiB", "0.50 KiB"]);
    const { plan } = planRun(configOf(), MODEL);
    const lines = memoryTable(plan);
    expect(lines).toHaveLength(plan.entries.length + 1);
    expect(new Set(lines.map((line) => line.length)).size).toBe(1);
    expect(lines.at(-1)).toContain(sizeText(plan.peakBytes));
  });
});
