import { setTimeout as sleep } from "node:timers/promises";
import { type Tuner, Workflow, type WorkflowOutput, type WorkflowTask } from "ajet";

const reward1: WorkflowOutput = { reward: 1, metadata: {} };
const kept: unknown[] = [];

function spin(): never {
  for (;;);
}

/** Good and bad behaviour, by name. */
const BEHAVIOURS: Record<string, (tuner: Tuner, task: WorkflowTask, signal: AbortSignal) => unknown> = {
  good: async () => {
    await sleep(300);
    return { reward: 0.5, metadata: { final_answer: "\\boxed{1}" }, logMetrics: { turns: 2 } };
  },
  judged: (_, task) => ({ reward: null, metadata: { final_answer: task.task.metadata.final } }),
  "throws at once": () => {
    throw new TypeError("at once");
  },
  "rejects later": async () => {
    await sleep(20);
    throw new RangeError("later");
  },
  "throws no error": () => {
    throw { odd: true };
  },
  "nobody awaits": async () => {
    void Promise.reject(new Error("floating"));
    await sleep(500);
    return reward1;
  },
  "throws in a timer": async () => {
    setTimeout(() => {
      throw new Error("in a timer");
    }, 10);
    await sleep(500);
    return reward1;
  },
  "rejects after the end": () => {
    setTimeout(() => void Promise.reject(new Error("too late")), 50);
    return reward1;
  },
  "loops at once": () => spin(),
  "loops later": async () => {
    await sleep(150);
    spin();
  },
  "sleeps in a system call": () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  },
  "loops in a timer": async () => {
    setTimeout(spin, 100);
    await sleep(60_000);
  },
  "calls process.exit": async () => {
    await sleep(20);
    process.exit(3);
  },
  "swallows process.exit": async () => {
    try {
      process.exit(3);
    } catch {}
    return reward1;
  },
  "really exits": async () => {
    await sleep(150);
    (process as unknown as { reallyExit(code: number): never }).reallyExit(5);
  },
  "eats memory": async () => {
    for (;;) {
      kept.push(Array.from({ length: 2e5 }, (_, i) => ({ i })));
      await sleep(0);
    }
  },
  hangs: () => new Promise(() => {}),
  "hangs but listens": (_, __, signal) =>
    new Promise((__, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  "closes its port": async () => {
    const { parentPort } = await import("node:worker_threads");
    parentPort?.close();
    return reward1;
  },
  "breaks globals": () => {
    globalThis.fetch = () => Promise.reject(new Error("broken"));
    globalThis.AbortController = undefined as never;
    globalThis.setTimeout = undefined as never;
    return reward1;
  },
  "returns nothing": () => undefined,
  "returns text": () => "1",
  "returns NaN": () => ({ reward: Number.NaN, metadata: {} }),
  "returns a list": () => ({ reward: [1], metadata: {} }),
  "returns a function": () => ({ reward: 1, metadata: { final_answer: () => 1 } }),
  "returns odd metrics": () => ({ reward: 1, metadata: {}, logMetrics: { turns: "two" } }),
  "breaks the judge": () => ({ reward: null, metadata: {} }),
  "runs python": async (tuner) => ({ reward: 1, metadata: { python: await tuner.executePython("print(6 * 7)") } }),
  "runs no python": async (tuner) => ({ reward: 1, metadata: { python: await tuner.executePython(7 as never) } }),
  "reads its config": (tuner) => ({ reward: 1, metadata: { name: tuner.config.experiment_name } }),
  prints: () => {
    console.log("from user code");
    return reward1;
  },
};

export class Behaving extends Workflow {
  async execute(workflowTask: WorkflowTask, tuner: Tuner, signal: AbortSignal): Promise<WorkflowOutput> {
    const behaviour = BEHAVIOURS[workflowTask.task.mainQuery];
    if (!behaviour) throw new Error(`No behaviour ${workflowTask.task.mainQuery}`);
    return (await behaviour(tuner, workflowTask, signal)) as WorkflowOutput;
  }
}

export const notAClass = 5;
export class NoWorkflow {}
