import type { AjetConfig } from "../config/schema.js";
import type { Device, EngineOptions, LoadOptions } from "../native/types.js";

/** Device and threads as the native core takes them. */
export function placeOf({ model }: AjetConfig): LoadOptions {
  return { device: model.device as Device, threads: model.threads };
}

/** The engine as the configuration has it. */
export function engineOptions({ rollout }: AjetConfig): EngineOptions {
  return {
    maxSequences: rollout.max_num_seqs,
    maxBatchTokens: rollout.max_batch_tokens,
    kvBytes: rollout.kv_cache_mb * 2 ** 20,
    ...(rollout.max_model_len > 0 ? { maxContext: rollout.max_model_len } : {}),
  };
}
