import { readFileSync } from "node:fs";

/** A process, told apart from a later one with the same id. */
export interface ProcessMark {
  pid: number;
  /** In clock ticks since boot; null where the system does not say. */
  startTicks: number | null;
}

/** The mark of this process. */
export function thisProcess(): ProcessMark {
  return markOf(process.pid);
}

/** The mark of a process by its id, which may be gone by now. */
export function markOf(pid: number): ProcessMark {
  return { pid, startTicks: status(pid)?.startTicks ?? null };
}

/** Who started a process; undefined where it is gone, or started by nobody. */
export function parentOf(pid: number): number | undefined {
  return status(pid)?.parent || undefined;
}

/** True where the very process still runs; a zombie does not. */
export function isRunning(mark: ProcessMark | undefined): boolean {
  if (mark === undefined || mark.pid === process.pid) return false;
  const found = status(mark.pid);
  return found !== undefined && found.state !== "Z" && found.startTicks === mark.startTicks;
}

/** Fields 3, 4 and 22 of /proc/PID/stat; the name before them may hold spaces and brackets. */
function status(pid: number): { state: string; parent: number; startTicks: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] as string, parent: Number(fields[1]), startTicks: Number(fields[19]) };
  } catch {
    return undefined;
  }
}
