import type { AjetConfig } from "../config/schema.js";
import { phaseBytes } from "../native/memory-plan.js";
import { type PlanOptions, planRun, type RunMemory } from "./memory-plan.js";

/**
 * A setting with which the run would fit, as `--set` takes it: a smaller KV cache, layers computed again, fewer rows a pass
 * (which change the order of sums, and nothing else), the optimizer's state in host memory. Undefined where none of them is
 * enough.
 */
export function fittingSetting(
  config: AjetConfig,
  modelFolder: string,
  memory: RunMemory,
  options: PlanOptions = {},
): string | undefined {
  for (const { key, changes } of SETTINGS) {
    for (const { value, changed } of changes(config, memory))
      if (planRun(changed, modelFolder, options).fits) return `${key}=${value}`;
  }
  return undefined;
}

/** What to lower where a plan fits and its memory ran out all the same: what makes the larger of the two phases. */
export function largestSetting({ rollout, trainer_common }: AjetConfig, { plan, device }: RunMemory): string {
  if (phaseBytes(plan, "update") >= phaseBytes(plan, "rollout"))
    return `\`trainer_common.max_batch_tokens\` (${trainer_common.max_batch_tokens})`;
  if (rollout.kv_cache_mb !== null) return `\`rollout.kv_cache_mb\` (${rollout.kv_cache_mb})`;
  if (device === "cpu") return "`rollout.kv_cache_mb` (512)";
  return `\`rollout.gpu_memory_utilization\` (${rollout.gpu_memory_utilization})`;
}

interface Setting<Value> {
  key: string;
  /** To be tried in this order. */
  values(config: AjetConfig, memory: RunMemory): readonly Value[];
  set(config: AjetConfig, value: Value): void;
}

/** Keeps the type of a setting's values between its two functions. */
const setting = <Value extends string | number>({ key, values, set }: Setting<Value>) => ({
  key,
  /** The configurations to try, with the value that makes each. */
  changes: (config: AjetConfig, memory: RunMemory) =>
    values(config, memory).map((value) => {
      const changed = structuredClone(config);
      set(changed, value);
      return { value, changed };
    }),
});

const LEAST_KV_MB = 4;
const LEAST_BATCH_TOKENS = 64;

const SETTINGS = [
  setting<number>({
    key: "rollout.kv_cache_mb",
    values: (_, { plan, budgetBytes }) => {
      const most = Math.floor((budgetBytes - phaseBytes(plan, "always")) / 2 ** 20);
      return most >= LEAST_KV_MB ? [most] : [];
    },
    set: (config, value) => {
      config.rollout.kv_cache_mb = value;
    },
  }),
  setting<"layers">({
    key: "trainer_common.recompute",
    values: ({ trainer_common }) => (trainer_common.recompute === "none" ? ["layers"] : []),
    set: (config, value) => {
      config.trainer_common.recompute = value;
    },
  }),
  setting<number>({
    key: "trainer_common.max_batch_tokens",
    values: ({ trainer_common }) => halves(trainer_common.max_batch_tokens),
    set: (config, value) => {
      config.trainer_common.max_batch_tokens = value;
    },
  }),
  setting<"moments" | "moments_and_master">({
    key: "trainer_common.optim.offload",
    values: (_, { device }) => (device === "cpu" ? [] : ["moments", "moments_and_master"]),
    set: (config, value) => {
      config.trainer_common.optim.offload = value;
    },
  }),
];

/** Smaller powers of two, the largest first. */
function halves(value: number): number[] {
  const found: number[] = [];
  for (let power = 2 ** Math.floor(Math.log2(value - 1)); power >= LEAST_BATCH_TOKENS; power /= 2) found.push(power);
  return found;
}
