import { InvalidArgumentError } from "commander";
import { memoryTable, sizeText } from "../report/memory-table.js";
import { type DryRun, dryRun } from "../train/dry-run.js";
import type { RunMemory } from "../train/memory-plan.js";
import type { SessionOptions } from "../train/session.js";
import { EXIT } from "./exit-codes.js";
import type { Output } from "./output.js";

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** "80GiB", "80G", "512 MiB" or plain bytes. */
export function parseBytes(text: string): number {
  const [, number = "", unit = ""] = /^\s*(\d+(?:\.\d+)?)\s*(?:([KMG])(?:i?B)?)?\s*$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (UNITS[unit.toUpperCase()] as number));
  if (number === "" || bytes < 1)
    throw new InvalidArgumentError(`Expected a size such as 80GiB but received "${text}".`);
  return bytes;
}

/** Shows what a run would be and whether it fits; the exit code says the latter. */
export async function printDryRun(
  options: SessionOptions,
  deviceBytes: number | undefined,
  output: Output,
): Promise<void> {
  const found = await dryRun(options, deviceBytes === undefined ? {} : { deviceBytes });
  const { trainingTasks, validationTasks, unseenTasks, totalSteps, isolation, memory } = found;
  output.line(
    `tasks: ${trainingTasks} to train on, ${validationTasks} for validation, ${unseenTasks} unseen; ${totalSteps} steps`,
  );
  output.line(`workflow and judge load; Python tool: ${isolation}`);
  output.line(`memory of ${memory.device}`);
  for (const line of memoryTable(memory.plan)) output.line(`  ${line}`);
  output.line(verdict(found));
  output.result(found);
  if (!memory.fits && memory.limitBytes > 0) process.exitCode = EXIT.failed;
}

function verdict({ memory, fittingSetting }: DryRun): string {
  const { plan, limitBytes, budgetBytes, fits, device } = memory;
  if (limitBytes === 0)
    return `nothing to compare with: this machine has no ${device}; --device-memory 80GiB names a card's memory`;
  const room = `${sizeText(plan.peakBytes)} of ${share(memory)}`;
  if (fits) return `fits: ${room}, ${sizeText(budgetBytes - plan.peakBytes)} left`;
  const remedy =
    fittingSetting === undefined ? "take a smaller model or a larger device" : `--set ${fittingSetting} does`;
  return `does not fit: ${room}; ${remedy}`;
}

function share({ limitBytes, budgetBytes }: RunMemory): string {
  if (limitBytes === budgetBytes) return sizeText(limitBytes);
  return `${sizeText(budgetBytes)} (rollout.gpu_memory_utilization of ${sizeText(limitBytes)})`;
}
