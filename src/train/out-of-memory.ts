import type { AjetConfig } from "../config/schema.js";
import { OutOfMemoryError } from "../native/errors.js";
import { memoryTable } from "../report/memory-table.js";
import { fittingSetting, largestSetting } from "./memory-advice.js";
import { planRun, type RunMemory } from "./memory-plan.js";
import { resolvePath } from "./resolve-path.js";
import type { SessionOptions } from "./session.js";

/**
 * What was asked for, where the memory was to go, and what to lower. The weights are those of the last finished step, and
 * its checkpoint is whole.
 */
export function explainOutOfMemory(error: OutOfMemoryError, options: SessionOptions): OutOfMemoryError {
  const { config } = options;
  const modelFolder = resolvePath("model.path", config.model.path, options);
  const memory = planRun(config, modelFolder, { trainer: options.trains ?? false });
  const lines = [
    error.message,
    `What was planned on ${memory.device}:`,
    ...memoryTable(memory.plan).map((line) => `  ${line}`),
    remedy(config, memory, modelFolder),
  ];
  return new OutOfMemoryError(lines.join("\n"), { cause: error });
}

function remedy(config: AjetConfig, memory: RunMemory, modelFolder: string): string {
  if (memory.fits)
    return `The plan fits: operators or other processes take the rest. Lower ${largestSetting(config, memory)}.`;
  const setting = fittingSetting(config, modelFolder, memory);
  return setting === undefined
    ? "No smaller setting fits: take a smaller model or a larger device."
    : `With --set ${setting} it would fit; --resume goes on from the last checkpoint.`;
}
