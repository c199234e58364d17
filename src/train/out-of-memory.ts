import type { AjetConfig } from "../config/schema.js";
import { OutOfMemoryError } from "../native/errors.js";
import { memoryTable } from "../report/memory-table.js";
import { fittingSetting, largestSetting } from "./memory-advice.js";
import { planRun, type RunMemory } from "./memory-plan.js";
import { type PathRoots, resolvePath } from "./resolve-path.js";

/** What a command needs memory for. */
export interface MemoryUse {
  config: AjetConfig;
  /** Where `model.path` is looked up; absent: it is a path. */
  roots?: PathRoots;
  /** A trainer comes as well, and its run can be resumed. */
  trains: boolean;
}

/**
 * Runs what may run out of memory.
 * @throws OutOfMemoryError that says what was asked for, where the memory was to go, and what to lower.
 */
export async function explainingOutOfMemory<T>(use: MemoryUse, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof OutOfMemoryError ? explained(error, use) : error;
  }
}

function explained(error: OutOfMemoryError, { config, roots, trains }: MemoryUse): OutOfMemoryError {
  const { path } = config.model;
  const modelFolder = roots ? resolvePath("model.path", path, roots) : path;
  const memory = planRun(config, modelFolder, { trainer: trains });
  const lines = [
    error.message,
    `What was planned on ${memory.device}:`,
    ...memoryTable(memory.plan).map((line) => `  ${line}`),
    remedy(config, memory, modelFolder, trains),
  ];
  return new OutOfMemoryError(lines.join("\n"), { cause: error });
}

function remedy(config: AjetConfig, memory: RunMemory, modelFolder: string, trains: boolean): string {
  if (memory.fits)
    return `The plan fits: operators or other processes take the rest. Lower ${largestSetting(config, memory)}.`;
  const setting = fittingSetting(config, modelFolder, memory, { trainer: trains });
  return setting === undefined
    ? "No smaller setting fits: take a smaller model or a larger device."
    : `With --set ${setting} it would fit${trains ? "; --resume goes on from the last checkpoint" : ""}.`;
}
