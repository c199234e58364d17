import { readFileSync } from "node:fs";

/** A process, told apart from a later one with the same id. */
export interface ProcessMark {
  pid: number;
  /** In clock ticks since boot; null where the system does not say. */
  startTicks: number | null;
}

/** The mark of this process. */
export function thisProcess(): ProcessMark {
  return { pid: process.pid, startTicks: status(process.pid)?.startTicks ?? null };
}

/** True where the very process still runs; a zombie does not. */
export function isRunning(mark: ProcessMark | undefined): boolean {
  if (mark === undefined || mark.pid === process.pid) return false;
  const found = status(mark.pid);
  return found !== undefined && found.state !== "Z" && found.startTicks === mark.startTicks;
}

/** Fields 3 and 22 of /proc/PID/stat; the name before them may hold spaces and brackets. */
function status(pid: number): { state: string; startTicks: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] as string, startTicks: Number(fields[19]) };
  } catch {
    return undefined;
  }
}
