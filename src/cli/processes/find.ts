import { readdirSync, readFileSync, statSync } from "node:fs";
import { ConfigError } from "../../native/errors.js";
import { markOf, type ProcessMark, parentOf } from "../../train/process-mark.js";

/** A process of this machine. */
export interface FoundProcess extends ProcessMark {
  commandLine: string;
}

/**
 * This user's processes whose command line matches a regular expression, such as `python|ray`; never this process, nor
 * those that it was started by.
 * @throws ConfigError where the pattern is none.
 */
export function findProcesses(pattern: string): FoundProcess[] {
  const expression = compile(pattern);
  const spared = lineage(process.pid);
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids
    .map(Number)
    .filter((pid) => !spared.has(pid) && isOwn(pid))
    .map((pid) => ({ ...markOf(pid), commandLine: commandLine(pid) }))
    .filter((found) => found.startTicks !== null && found.commandLine !== "" && expression.test(found.commandLine))
    .sort((a, b) => a.pid - b.pid);
}

/** A process and all those above it. */
export function lineage(pid: number): Set<number> {
  const found = new Set<number>();
  for (let next: number | undefined = pid; next !== undefined && !found.has(next); next = parentOf(next)) {
    found.add(next);
  }
  return found;
}

function compile(pattern: string): RegExp {
  if (pattern.trim() === "") throw new ConfigError("Expected a pattern for --kill but received an empty one");
  try {
    return new RegExp(pattern);
  } catch (error) {
    throw new ConfigError(`Expected a regular expression for --kill: ${(error as Error).message}`, { cause: error });
  }
}

function isOwn(pid: number): boolean {
  try {
    return statSync(`/proc/${pid}`).uid === process.getuid?.();
  } catch {
    return false;
  }
}

/** Empty for threads of the kernel and for what is gone. */
function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}
