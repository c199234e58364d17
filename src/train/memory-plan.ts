import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import type { AjetConfig } from "../config/schema.js";
import { fileError } from "../native/file-error.js";
import { nativeInfo } from "../native/info.js";
import { type MemoryPlan, planMemory } from "../native/memory-plan.js";
import { trainerOptions } from "./loss-options.js";
import { engineOptions, placeOf } from "./native-options.js";

/** A plan and what it has to fit into. */
export interface RunMemory {
  plan: MemoryPlan;
  /** "cpu", or "cuda:0" and so on. */
  device: string;
  /** Of the device, or `model.memory_limit_mb` where that is less; 0: the card is not there. */
  limitBytes: number;
  /** What the plan may take of it: on a card, `rollout.gpu_memory_utilization` leaves the rest to operators and CUDA. */
  budgetBytes: number;
  fits: boolean;
}

export interface PlanOptions {
  /** False: the model is sampled from alone. */
  trainer?: boolean;
  /** Of a device that is not this machine's. */
  deviceBytes?: number;
}

/** The memory of a run, from its configuration and the model's `config.json` alone. */
export function planRun(config: AjetConfig, modelFolder: string, options: PlanOptions = {}): RunMemory {
  const model = readConfig(modelFolder);
  const device = deviceOf(config);
  const limitBytes = limitOf(config, options.deviceBytes ?? memoryOf(device));
  const budgetBytes = device === "cpu" ? limitBytes : Math.floor(limitBytes * config.rollout.gpu_memory_utilization);
  const load = { ...placeOf(config), device: device as "cpu" };
  const copy = hasUntrainedCopy(config) ? planMemory(model, { load, engine: engineOptions(config) }).peakBytes : 0;
  const plan = planMemory(model, {
    load,
    engine: engineOptions(config),
    ...(options.trainer === false ? {} : { trainer: trainerOptions(config, 0) }),
    fillBudget: device !== "cpu" && limitBytes > 0 && config.rollout.kv_cache_mb === null,
    budgetBytes: Math.max(budgetBytes - copy, 0),
  });
  if (copy > 0) {
    const what = { name: "untrained agents", detail: "weights and KV cache of a frozen copy" };
    plan.entries.push({ ...what, phase: "always", place: "device", bytes: copy });
    plan.peakBytes += copy;
  }
  return { plan, device, limitBytes, budgetBytes, fits: plan.peakBytes <= budgetBytes };
}

function readConfig(modelFolder: string): string {
  const file = join(modelFolder, "config.json");
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw fileError(`Cannot read ${file}`, error);
  }
}

/** Where `auto` comes to. */
function deviceOf({ model: { device } }: AjetConfig): string {
  if (device === "auto") return nativeInfo().cuda.available ? "cuda:0" : "cpu";
  return device === "cuda" ? "cuda:0" : device;
}

function memoryOf(device: string): number {
  if (device !== "cpu") return nativeInfo().cuda.devices[Number(device.slice("cuda:".length))]?.memoryBytes ?? 0;
  const container = process.constrainedMemory?.() ?? 0; // 0, or more than there is: no limit
  return container > 0 ? Math.min(totalmem(), container) : totalmem();
}

function limitOf({ model: { memory_limit_mb } }: AjetConfig, deviceBytes: number): number {
  if (memory_limit_mb === null) return deviceBytes;
  const limit = memory_limit_mb * 2 ** 20;
  return deviceBytes > 0 ? Math.min(limit, deviceBytes) : limit;
}

function hasUntrainedCopy({ rollout }: AjetConfig): boolean {
  return rollout.trainable_targets !== null && rollout.untrained_agents.base_url === null;
}
