import { setTimeout as sleep } from "node:timers/promises";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { EpisodeTrace, JudgeLlm } from "../agent/judge.js";
import type { PythonResult } from "../agent/tools.js";
import { ConfigError } from "../native/errors.js";
import type { EpisodeJob, EpisodeOutcome, FailureKind, GroupJob, GroupOutcome, JobFailure } from "./episode.js";
import { BeatWatch, ThreadMarks } from "./thread-marks.js";
import type { UserClass } from "./user-code.js";
import { workerEntry } from "./worker-entry.js";
import type { FromWorker, ServiceAnswer, ServiceCall, ToWorker, WorkerSetup } from "./worker-protocol.js";

/** What every thread of a pool gets, and whom it tells what. */
export interface WorkerThreadOptions {
  workflow: UserClass;
  judge: UserClass | null;
  config: Record<string, unknown>;
  runPython: (code: string, timeoutMs?: number) => Promise<PythonResult>;
  /** Whom judges ask. */
  llm: JudgeLlm;
  /** A thread that computes for so long without turning its event loop is ended. */
  stallMs: number;
  /** Heap of one thread. */
  heapMb: number;
  /** What user code prints. */
  onOutput: (text: string) => void;
  /** What went wrong after an episode's end. */
  onStray: (message: string) => void;
}

const START_MS = 120_000;
/** Time between an abort and giving the episode up. */
const GRACE_MS = 1000;

/** Time for a thread to end. */
const END_MS = 3000;
/** Share of the heap's limit from which a stall is the heap's. */
const FULL_HEAP = 0.7;

interface ActiveRun {
  settle(outcome: EpisodeOutcome | GroupOutcome): void;
  beginJudging?: (() => EpisodeTrace) | undefined;
}

/** One worker thread, as the pool sees it. */
export class WorkerThread {
  private readonly worker: Worker;
  private readonly port: MessagePort;
  private readonly marks = new ThreadMarks();
  private readonly beat = new BeatWatch(this.marks);
  private readonly active = new Map<number, ActiveRun>();
  private nextSlot = 1;
  private ended = false;
  private outOfMemory = false;
  private problem = "";
  private watch: NodeJS.Timeout | undefined;
  /** Episodes that were given up and may still run in here. */
  private abandoned = 0;

  /** Resolves when the user's code is loaded. @throws ConfigError where it does not load. */
  static async start(options: WorkerThreadOptions): Promise<WorkerThread> {
    const thread = new WorkerThread(options);
    try {
      await thread.loaded();
    } catch (error) {
      await thread.terminate();
      throw error;
    }
    thread.watch = setInterval(() => thread.checkBeat(), BeatWatch.INTERVAL_MS).unref();
    return thread;
  }

  private constructor(private readonly options: WorkerThreadOptions) {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    const setup: WorkerSetup = {
      port: port2,
      marks: this.marks.buffer,
      workflow: options.workflow,
      judge: options.judge,
      config: options.config,
    };
    this.worker = new Worker(workerEntry(), {
      workerData: setup,
      transferList: [port2],
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: options.heapMb },
    });
    for (const stream of [this.worker.stdout, this.worker.stderr]) {
      stream.setEncoding("utf8").on("data", options.onOutput);
    }
    this.port.on("message", (message: FromWorker) => this.receive(message));
    this.worker.on("error", (error: NodeJS.ErrnoException) => {
      this.problem = error.message;
      this.outOfMemory = error.code === "ERR_WORKER_OUT_OF_MEMORY";
    });
    this.worker.on("exit", (code) => this.onExit(code));
  }

  /** Takes further episodes. */
  get usable(): boolean {
    return !this.ended && this.abandoned === 0;
  }

  run(job: EpisodeJob, signal: AbortSignal): Promise<EpisodeOutcome> {
    const { workflowTask, baseUrl, apiKey, routes, beginJudging } = job;
    const endpoints = { baseUrl, apiKey, routes };
    const message = (slot: number): ToWorker => ({ type: "run", slot, workflowTask, endpoints });
    return this.start(message, signal, beginJudging) as Promise<EpisodeOutcome>;
  }

  judgeGroup({ episodes }: GroupJob, signal: AbortSignal): Promise<GroupOutcome> {
    return this.start((slot) => ({ type: "judge-group", slot, episodes }), signal) as Promise<GroupOutcome>;
  }

  private start(
    message: (slot: number) => ToWorker,
    signal: AbortSignal,
    beginJudging?: () => EpisodeTrace,
  ): Promise<EpisodeOutcome | GroupOutcome> {
    if (this.ended) return Promise.resolve({ kind: "interrupted", alone: false });
    const slot = this.nextSlot++;
    return new Promise((resolve) => {
      let givingUp: NodeJS.Timeout | undefined;
      const onAbort = () => {
        const reason = (signal.reason as Error).message;
        this.post({ type: "abort", slot, message: reason });
        givingUp = setTimeout(() => {
          this.abandoned++;
          const isHeldUp = this.beat.isSilent && this.marks.current !== slot; // by another episode that loops
          const outcome = failed("timeout", `${reason}; it did not stop`);
          this.settle(slot, isHeldUp ? { kind: "interrupted", alone: false } : outcome);
        }, GRACE_MS);
      };
      this.active.set(slot, {
        beginJudging,
        settle: (outcome) => {
          clearTimeout(givingUp);
          signal.removeEventListener("abort", onAbort);
          resolve(outcome);
        },
      });
      signal.addEventListener("abort", onAbort);
      this.post(message(slot));
      if (signal.aborted) onAbort();
    });
  }

  async terminate(): Promise<void> {
    clearInterval(this.watch);
    this.worker.unref(); // user code that sits in a synchronous system call outlives the wait below
    await Promise.race([this.worker.terminate(), sleep(END_MS, undefined, { ref: false })]);
    this.port.close();
  }

  private loaded(): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (problem: string) => reject(new ConfigError(problem));
      const timer = setTimeout(
        () => fail(`${this.options.workflow.file} did not load within ${START_MS / 1000} s`),
        START_MS,
      );
      this.worker.once("error", (error) => fail(`The worker thread failed while loading: ${error.message}`));
      this.worker.once("exit", (code) =>
        fail(`The worker thread ended with code ${code} while loading the user's code`),
      );
      const onMessage = (message: FromWorker) => {
        if (message.type === "ready") resolve();
        else if (message.type === "load-failed") fail(message.message);
        else return;
        clearTimeout(timer);
        this.port.off("message", onMessage);
      };
      this.port.on("message", onMessage);
    });
  }

  private receive(message: FromWorker): void {
    if (message.type === "call") void this.serve(message.call, message.service);
    else if (message.type === "stray") this.options.onStray(message.message);
    else if (message.type === "judging") {
      const trace = this.active.get(message.slot)?.beginJudging?.() ?? { calls: [], toolResults: [] };
      this.post({ type: "trace", slot: message.slot, trace });
    } else if (message.type !== "ready" && message.type !== "load-failed") {
      const { type, slot, ...rest } = message;
      this.settle(slot, { kind: type, ...rest } as EpisodeOutcome | GroupOutcome);
    }
  }

  private async serve(call: number, service: ServiceCall): Promise<void> {
    const { runPython, llm } = this.options;
    let answer: ServiceAnswer;
    try {
      const isPython = service.name === "python";
      answer = { value: await (isPython ? runPython(service.code, service.timeoutMs) : llm.ask(service.question)) };
    } catch (error) {
      answer = { error: (error as Error).message };
    }
    this.post({ type: "answer", call, answer });
  }

  private post(message: ToWorker): void {
    if (!this.ended) this.port.postMessage(message);
  }

  private settle(slot: number, outcome: EpisodeOutcome | GroupOutcome): void {
    const run = this.active.get(slot);
    this.active.delete(slot);
    run?.settle(outcome);
    // What was given up may hold memory and timers: the thread goes when nobody else needs it.
    if (this.abandoned > 0 && this.active.size === 0) void this.terminate();
  }

  private checkBeat(): void {
    this.beat.check();
    if (this.active.size === 0 || !this.beat.isStalled(this.options.stallMs)) return;
    // A full heap stalls the thread with collections, whoever's turn it is.
    this.outOfMemory ||= this.marks.heapMb > this.options.heapMb * FULL_HEAP;
    if (this.outOfMemory) this.endAll("exited", this.heapMessage());
    else this.endAll("stalled", `It did not give its thread back for ${this.options.stallMs / 1000} s`);
    void this.terminate();
  }

  private onExit(code: number): void {
    const message = `Its worker thread ended with code ${code}${this.problem && `: ${this.problem}`}`;
    this.endAll("exited", this.outOfMemory ? this.heapMessage() : message);
    clearInterval(this.watch);
  }

  private heapMessage(): string {
    return `Its worker thread used up its heap of ${this.options.heapMb} MB`;
  }

  /** Blames the episode whose code was running; the others run again. Where that is unclear, each runs again alone. */
  private endAll(kind: FailureKind, message: string): void {
    this.ended = true;
    const { current } = this.marks;
    const runs = [...this.active];
    this.active.clear();
    // The episode that asked for the last byte need not be the one that took the others.
    const known = runs.length === 1 || (!this.outOfMemory && runs.some(([slot]) => slot === current));
    for (const [slot, run] of runs) {
      const guilty = known && (runs.length === 1 || slot === current);
      run.settle(guilty ? failed(kind, message) : { kind: "interrupted", alone: !known });
    }
  }
}

function failed(kind: FailureKind, message: string): JobFailure {
  return { kind: "failed", failure: { kind, message }, unrepeatable: [] };
}
