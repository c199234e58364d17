import { createInterface } from "node:readline/promises";
import { AjetError, ConfigError } from "../native/errors.js";
import type { ProcessMark } from "../train/process-mark.js";
import type { Output } from "./output.js";
import { endProcesses } from "./processes/end.js";
import { findProcesses, lineage } from "./processes/find.js";
import { registeredProcesses } from "./processes/registry.js";

interface Target extends ProcessMark {
  commandLine: string;
}

/**
 * `--kill`: ends ajet's own runs and servers. `--kill PATTERN`: lists the processes of this user that match, and asks.
 * @param pattern True where none was given.
 * @param yes Does not ask.
 */
export async function kill(pattern: string | true, yes: boolean, output: Output): Promise<void> {
  const targets = pattern === true ? ownRuns() : findProcesses(pattern);
  if (targets.length === 0) {
    output.note(pattern === true ? "no run or server of ajet goes on" : `no process of yours matches ${pattern}`);
    return;
  }
  for (const { pid, commandLine } of targets) output.line(`${String(pid).padStart(8)}  ${commandLine}`);
  if (pattern !== true && !yes && !(await confirm(targets.length))) {
    output.note("nothing was ended");
    return;
  }
  const left = await endProcesses(targets);
  for (const target of targets) output.result({ ...target, ended: !left.includes(target) });
  if (left.length > 0) {
    const pids = left.map(({ pid }) => pid).join(", ");
    throw new AjetError("ERR_AJET_PROCESS", `These processes do not end: ${pids}`);
  }
  output.line(`ended ${targets.length}`);
}

/** A workflow may call `ajet --kill` itself: the run above it stays. */
function ownRuns(): Target[] {
  const spared = lineage(process.pid);
  return registeredProcesses()
    .filter(({ pid }) => !spared.has(pid))
    .map(({ command, folder, ...mark }) => ({ ...mark, commandLine: `ajet ${command.join(" ")}  (in ${folder})` }));
}

async function confirm(count: number): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new ConfigError(`Nothing was ended: there is no terminal to ask on. Add --yes to end these ${count}`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`End ${count === 1 ? "it" : `these ${count}`}? [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}
