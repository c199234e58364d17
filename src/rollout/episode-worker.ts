/** Entry of a worker thread: runs workflows and judges, which may loop, throw late or exit. */
import { AsyncLocalStorage, createHook } from "node:async_hooks";
import { getHeapStatistics } from "node:v8";
import { workerData } from "node:worker_threads";
import type { Judge } from "../agent/judge.js";
import type { PythonResult } from "../agent/tools.js";
import type { Workflow } from "../agent/workflow.js";
import { EpisodeTuner } from "./episode-tuner.js";
import { describeThrown, EpisodeError, failureOf, runWorkflow, type UserClasses } from "./run-workflow.js";
import { BEAT_MS, ThreadMarks } from "./thread-marks.js";
import { loadUserClass } from "./user-code.js";
import type { FromWorker, ToWorker, WorkerSetup } from "./worker-protocol.js";

interface RunningEpisode {
  slot: number;
  /** Ends the episode early. */
  fail(error: EpisodeError): void;
}

// As it was before any user code.
const { AbortController } = globalThis;
// A port of our own, not `parentPort`, which user code could close.
const { port, workflow, judge, config, ...setup } = workerData as WorkerSetup;
const marks = new ThreadMarks(setup.marks);
const running = new Map<number, RunningEpisode>();
const pythonCalls = new Map<number, { resolve(result: PythonResult): void; reject(error: Error): void }>();
const context = new AsyncLocalStorage<RunningEpisode>();
let nextPythonCall = 1;

const send = (message: FromWorker) => port.postMessage(message);

marks.sign();
setInterval(() => marks.beat(getHeapStatistics().used_heap_size / 2 ** 20), BEAT_MS);
// So that the pool knows whose code it is that does not give the thread back.
createHook({
  before: () => marks.enter(context.getStore()?.slot ?? 0),
  after: () => marks.enter(0),
}).enable();

function guardProcess(): void {
  process.exit = (code) => {
    const error = new EpisodeError("exited", `The workflow called process.exit(${code ?? ""})`);
    context.getStore()?.fail(error);
    throw error;
  };
  const onStray = (what: string) => (error: unknown) => {
    const message = `${what}: ${describeThrown(error)}`;
    const episode = context.getStore();
    if (episode && running.has(episode.slot)) episode.fail(new EpisodeError("workflow", message, { cause: error }));
    else if (!(error instanceof EpisodeError)) send({ type: "stray", message });
  };
  process.on("unhandledRejection", onStray("A promise of the workflow was rejected and nobody caught it"));
  process.on("uncaughtException", onStray("The workflow threw where nobody caught it"));
}

function runPython(code: string, timeoutMs?: number): Promise<PythonResult> {
  return new Promise((resolve, reject) => {
    const call = nextPythonCall++;
    pythonCalls.set(call, { resolve, reject });
    send({ type: "python", call, code, timeoutMs });
  });
}

async function runEpisode(classes: UserClasses, message: ToWorker & { type: "run" }): Promise<void> {
  const { slot, workflowTask, baseUrl, apiKey } = message;
  const controller = new AbortController();
  const failed = new Promise<never>((_, reject) => {
    running.set(slot, {
      slot,
      fail: (error) => {
        reject(error);
        controller.abort(error);
      },
    });
  });
  failed.catch(() => {});
  const tuner = new EpisodeTuner(config, { baseUrl, apiKey }, runPython, controller.signal);
  const episode = running.get(slot) as RunningEpisode;
  const work = context.run(episode, () => {
    marks.enter(slot);
    return runWorkflow(classes, workflowTask, tuner, controller.signal);
  });
  const { unrepeatable } = tuner;
  try {
    const score = await Promise.race([work, failed]);
    send({ type: "scored", slot, score, unrepeatable });
  } catch (error) {
    send({ type: "failed", slot, failure: failureOf(error), unrepeatable });
  } finally {
    running.delete(slot);
    controller.abort(new EpisodeError("workflow", "The episode has ended"));
  }
}

function onMessage(classes: UserClasses, message: ToWorker): void {
  if (message.type === "run") void runEpisode(classes, message);
  else if (message.type === "abort") running.get(message.slot)?.fail(new EpisodeError("timeout", message.message));
  else {
    const call = pythonCalls.get(message.call);
    pythonCalls.delete(message.call);
    if (message.result) call?.resolve(message.result);
    else call?.reject(new Error(message.error));
  }
}

try {
  const classes: UserClasses = {
    workflow: await loadUserClass<Workflow>(workflow, "execute"),
    ...(judge ? { judge: await loadUserClass<Judge>(judge, "computeReward") } : {}),
  };
  guardProcess();
  port.on("message", (message: ToWorker) => onMessage(classes, message));
  send({ type: "ready" });
} catch (error) {
  send({ type: "load-failed", message: (error as Error).message });
}
