import { ConfigError } from "../native/errors.js";
import type { EpisodeExecutor, EpisodeJob, EpisodeOutcome, GroupJob, GroupOutcome } from "./episode.js";
import { WorkerThread, type WorkerThreadOptions } from "./worker-thread.js";

export interface WorkerPoolOptions extends WorkerThreadOptions {
  /** Threads that share the episodes. */
  threads: number;
}

/** Threads for episodes that are run again alone, at once. */
const ALONE_THREADS = 2;

/** Runs episodes in worker threads, many in each; a thread that user code took down is replaced. */
export class WorkerPool implements EpisodeExecutor {
  private readonly threads: (Promise<WorkerThread> | undefined)[];
  private readonly extra = new Set<Promise<WorkerThread>>();
  private readonly loads: number[];
  private readonly waitingAlone: (() => void)[] = [];
  private freeAlone = ALONE_THREADS;
  private disposed = false;

  constructor(private readonly options: WorkerPoolOptions) {
    this.threads = Array.from({ length: options.threads }, () => undefined);
    this.loads = this.threads.map(() => 0);
  }

  async start(): Promise<void> {
    await Promise.all(this.threads.map((_, index) => this.thread(index)));
  }

  execute(job: EpisodeJob, signal: AbortSignal): Promise<EpisodeOutcome> {
    return this.onThread(job, (thread) => thread.run(job, signal));
  }

  judgeGroup(job: GroupJob, signal: AbortSignal): Promise<GroupOutcome> {
    return this.onThread(job, (thread) => thread.judgeGroup(job, signal));
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    const all = [...this.threads, ...this.extra];
    await Promise.all(all.map(async (thread) => (await thread?.catch(() => undefined))?.terminate()));
  }

  private onThread<T>(
    { alone, onStart }: EpisodeJob | GroupJob,
    run: (thread: WorkerThread) => Promise<T>,
  ): Promise<T> {
    const start = (thread: WorkerThread) => {
      onStart?.();
      return run(thread);
    };
    return alone ? this.runAlone(start) : this.runShared(start);
  }

  private async runShared<T>(run: (thread: WorkerThread) => Promise<T>): Promise<T> {
    const index = this.loads.indexOf(Math.min(...this.loads));
    this.loads[index] = (this.loads[index] ?? 0) + 1;
    try {
      return await run(await this.thread(index));
    } finally {
      this.loads[index] = (this.loads[index] ?? 1) - 1;
    }
  }

  private async runAlone<T>(run: (thread: WorkerThread) => Promise<T>): Promise<T> {
    if (this.freeAlone > 0) this.freeAlone--;
    else await new Promise<void>((resolve) => this.waitingAlone.push(resolve));
    const thread = this.open();
    this.extra.add(thread);
    try {
      return await run(await thread);
    } finally {
      this.extra.delete(thread);
      await (await thread.catch(() => undefined))?.terminate();
      const next = this.waitingAlone.shift();
      if (next) next();
      else this.freeAlone++;
    }
  }

  /** The thread at an index, started anew where the last one is gone. */
  private thread(index: number): Promise<WorkerThread> {
    const current = this.threads[index];
    const next = current
      ? current.then(
          (thread) => (thread.usable ? thread : this.replace(index, current)),
          () => this.replace(index, current),
        )
      : this.replace(index, undefined);
    return next;
  }

  private replace(index: number, gone: Promise<WorkerThread> | undefined): Promise<WorkerThread> {
    const current = this.threads[index];
    if (current !== undefined && current !== gone) return this.thread(index); // another episode was faster
    const started = this.open();
    this.threads[index] = started;
    return started;
  }

  private open(): Promise<WorkerThread> {
    if (this.disposed) return Promise.reject(new ConfigError("The worker pool was disposed of"));
    return WorkerThread.start(this.options);
  }
}
