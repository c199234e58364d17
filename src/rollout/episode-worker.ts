/** Entry of a worker thread: runs workflows and judges, which may loop, throw late or exit. */
import { AsyncLocalStorage, createHook } from "node:async_hooks";
import { getHeapStatistics } from "node:v8";
import { workerData } from "node:worker_threads";
import type { EpisodeTrace } from "../agent/judge.js";
import { inEnvironment } from "./episode-environment.js";
import { describeThrown, EpisodeError, failureOf } from "./episode-error.js";
import { EpisodeTuner } from "./episode-tuner.js";
import { MainThread } from "./main-thread.js";
import { NotingLlm } from "./noting-llm.js";
import { judgeGroup } from "./run-judge.js";
import { runWorkflow, type UserClasses } from "./run-workflow.js";
import { BEAT_MS, ThreadMarks } from "./thread-marks.js";
import { loadUserClasses } from "./user-classes.js";
import { loaderModule } from "./worker-entry.js";
import type { FromWorker, ToWorker, WorkerSetup } from "./worker-protocol.js";

interface RunningEpisode {
  slot: number;
  /** Ends the episode early. */
  fail(error: EpisodeError): void;
  /** What was said in the episode: its judge waits for it. */
  onTrace?(trace: EpisodeTrace): void;
}

// As it was before any user code.
const { AbortController } = globalThis;
// A port of our own, not `parentPort`, which user code could close.
const { port, workflow, judge, config, ...setup } = workerData as WorkerSetup;
const marks = new ThreadMarks(setup.marks);
const running = new Map<number, RunningEpisode>();
const context = new AsyncLocalStorage<RunningEpisode>();

const send = (message: FromWorker) => port.postMessage(message);
const main = new MainThread((call, service) => send({ type: "call", call, service }));

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

/** Runs user code under a slot until it ends, or until something of it fails elsewhere. */
async function runSlot(
  slot: number,
  unrepeatable: string[],
  run: (episode: RunningEpisode) => Promise<FromWorker>,
  controller: AbortController,
): Promise<void> {
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
  const episode = running.get(slot) as RunningEpisode;
  const work = context.run(episode, () => {
    marks.enter(slot);
    return run(episode);
  });
  try {
    send(await Promise.race([work, failed]));
  } catch (error) {
    send({ type: "failed", slot, failure: failureOf(error), unrepeatable });
  } finally {
    running.delete(slot);
    controller.abort(new EpisodeError("workflow", "The episode has ended"));
  }
}

function runEpisode(classes: UserClasses, message: ToWorker & { type: "run" }): Promise<void> {
  const { slot, workflowTask, endpoints } = message;
  const controller = new AbortController();
  const { signal } = controller;
  const tuner = new EpisodeTuner(config, endpoints, (...call) => main.runPython(...call), signal);
  const { unrepeatable } = tuner;
  const run = async (episode: RunningEpisode): Promise<FromWorker> => {
    const begin = () =>
      new Promise<EpisodeTrace>((resolve) => {
        episode.onTrace = resolve;
        send({ type: "judging", slot });
      });
    const judging = { config, llm: new NotingLlm(main, unrepeatable), begin };
    const { kind, ...end } = await inEnvironment(tuner.config, workflowTask, signal, (task) =>
      runWorkflow(classes, task, tuner, signal, judging),
    );
    return { type: kind, slot, unrepeatable, ...end } as FromWorker;
  };
  return runSlot(slot, unrepeatable, run, controller);
}

function runGroup({ judge }: UserClasses, { slot, episodes }: ToWorker & { type: "judge-group" }): Promise<void> {
  const controller = new AbortController();
  const unrepeatable: string[] = [];
  const run = async (): Promise<FromWorker> => {
    if (!judge) throw new EpisodeError("judge", "There is no judge");
    const setup = { config, llm: new NotingLlm(main, unrepeatable) };
    const judgements = await judgeGroup(judge, episodes, setup, controller.signal);
    return { type: "judged", slot, judgements, unrepeatable };
  };
  return runSlot(slot, unrepeatable, run, controller);
}

function onMessage(classes: UserClasses, message: ToWorker): void {
  if (message.type === "run") void runEpisode(classes, message);
  else if (message.type === "judge-group") void runGroup(classes, message);
  else if (message.type === "trace") running.get(message.slot)?.onTrace?.(message.trace);
  else if (message.type === "abort") running.get(message.slot)?.fail(new EpisodeError("timeout", message.message));
  else main.settle(message.call, message.answer);
}

try {
  await import(loaderModule().href);
  const classes = await loadUserClasses(workflow, judge, config);
  guardProcess();
  port.on("message", (message: ToWorker) => onMessage(classes, message));
  send({ type: "ready" });
} catch (error) {
  send({ type: "load-failed", message: (error as Error).message });
}
