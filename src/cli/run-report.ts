import { ConfinedFolder } from "../logview/confined-folder.js";
import { readAllRows } from "../logview/metrics-tail.js";
import { writeRunReport } from "../logview/report/run-report.js";
import { terminalCurve } from "../report/terminal-curve.js";
import type { RunFolder } from "../train/run-folder.js";
import type { Output } from "./output.js";

/** The mean reward of all steps, for the terminal. */
export function rewardCurve({ path }: RunFolder): string[] {
  const rows = readAllRows(new ConfinedFolder(path), ["metrics.jsonl"]);
  return terminalCurve(
    "reward",
    rows.map((row) => ({ step: row.step, value: row["critic/rewards/mean"] ?? Number.NaN })),
  );
}

/** Writes report.html. The run has succeeded, with or without it. */
export async function writeReport({ path, name }: RunFolder, output: Output): Promise<void> {
  try {
    output.line(`report ${await writeRunReport(path, name)}`);
  } catch (error) {
    output.note(`note: there is no report.html: ${(error as Error).message}`);
  }
}
