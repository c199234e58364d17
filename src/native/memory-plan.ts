import { nativeAddon } from "./addon.js";
import type { ModelConfigJson } from "./model.js";
import { nativeCallSync } from "./native-call.js";
import type { EngineOptions, LoadOptions, TrainerOptions } from "./types.js";

/** When memory is in use. What rollouts and what updates need lie in the same bytes, in turn. */
export type MemoryPhase = "always" | "rollout" | "update";

/** One part of a model's, an engine's or a trainer's memory. */
export interface PlannedMemory {
  /** "KV cache" */
  name: string;
  /** "8192 tokens in 512 blocks" */
  detail: string;
  phase: MemoryPhase;
  /** On the CPU everything is the device's. */
  place: "device" | "host";
  bytes: number;
}

/** What lies where while a model is sampled from and trained. */
export interface MemoryPlan {
  entries: PlannedMemory[];
  /** Of the KV cache. */
  kvBytes: number;
  /** The most that the device holds at once; what operators need for themselves comes on top. */
  peakBytes: number;
}

/** What a phase needs on the device. */
export function phaseBytes({ entries }: MemoryPlan, phase: MemoryPhase): number {
  const mine = entries.filter((entry) => entry.phase === phase && entry.place === "device");
  return mine.reduce((sum, { bytes }) => sum + bytes, 0);
}

export interface MemoryPlanOptions {
  /** Where the model goes. A card that is asked for by name need not be there. */
  load?: LoadOptions;
  engine?: EngineOptions;
  /** Absent: the model is sampled from alone. */
  trainer?: TrainerOptions;
  /** The KV cache takes what everything else leaves of `budgetBytes`, instead of `kvBytes`. */
  fillBudget?: boolean;
  budgetBytes?: number;
}

/**
 * The memory of a model, its engine and its trainer, in bytes, before any of it is allocated. The trainer's part is that of
 * its largest pass.
 * @param config What the model's `config.json` holds, or its text.
 */
export function planMemory(config: ModelConfigJson | string, options: MemoryPlanOptions = {}): MemoryPlan {
  const text = typeof config === "string" ? config : JSON.stringify(config);
  const { load = {}, engine = {}, ...rest } = options;
  return nativeCallSync(planMemory, () => nativeAddon().planMemory(text, { load, engine, ...rest }));
}
