import type { AjetConfig } from "../config/schema.js";
import type { MemoryPlan } from "../native/memory-plan.js";
import type { Device, EngineOptions, LoadOptions } from "../native/types.js";

/** Device, threads and memory as the native core takes them. */
export function placeOf({ model }: AjetConfig): LoadOptions {
  return {
    device: model.device as Device,
    threads: model.threads,
    ...(model.memory_limit_mb === null ? {} : { memoryLimitBytes: model.memory_limit_mb * 2 ** 20 }),
  };
}

/**
 * The engine as the configuration has it.
 * @param plan Says how large the KV cache is, where the configuration leaves that open; without it, as the core has it.
 */
export function engineOptions({ rollout }: AjetConfig, plan?: MemoryPlan): EngineOptions {
  const kvBytes = rollout.kv_cache_mb === null ? plan?.kvBytes : rollout.kv_cache_mb * 2 ** 20;
  return {
    maxSequences: rollout.max_num_seqs,
    maxBatchTokens: rollout.max_batch_tokens,
    ...(kvBytes === undefined ? {} : { kvBytes }),
    ...(rollout.max_model_len > 0 ? { maxContext: rollout.max_model_len } : {}),
  };
}
