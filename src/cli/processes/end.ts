import { setTimeout as sleep } from "node:timers/promises";
import { isRunning, type ProcessMark } from "../../train/process-mark.js";

/** Time for a run to save its last finished step. */
const GRACE_MS = 20_000;
/** Time for the system to take a process away. */
const LAST_MS = 3000;
const POLL_MS = 20;

/**
 * Ends processes: SIGTERM, and SIGKILL for those that do not end.
 * @returns Those that still run.
 */
export async function endProcesses<T extends ProcessMark>(
  processes: readonly T[],
  graceMs: number = GRACE_MS,
): Promise<T[]> {
  for (const [signal, wait] of [
    ["SIGTERM", graceMs],
    ["SIGKILL", LAST_MS],
  ] as const) {
    const running = processes.filter(isRunning);
    for (const found of running) send(found, signal);
    const deadline = performance.now() + wait;
    while (running.some(isRunning) && performance.now() < deadline) await sleep(POLL_MS);
  }
  return processes.filter(isRunning);
}

function send({ pid }: ProcessMark, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself, or may not be ended: the list of those that still run tells.
  }
}
