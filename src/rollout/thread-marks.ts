import { readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

const BEAT = 0;
const CURRENT = 1;
const HEAP_MB = 2;
const THREAD_ID = 3;

/** How often a worker counts up. */
export const BEAT_MS = 100;

/** What a worker thread leaves in shared memory, readable while it hangs. */
export class ThreadMarks {
  private readonly marks: Int32Array;

  constructor(readonly buffer = new SharedArrayBuffer(16)) {
    this.marks = new Int32Array(buffer);
  }

  /** To be called on the worker's thread, once. */
  sign(): void {
    Atomics.store(this.marks, THREAD_ID, Number(basename(readlinkSync("/proc/thread-self"))));
  }

  /** CPU time of the worker's thread; NaN where the system does not tell. */
  get cpuMs(): number {
    try {
      const [nanoseconds = ""] = readFileSync(`/proc/self/task/${this.marks[THREAD_ID]}/schedstat`, "utf8").split(" ");
      return Number.parseInt(nanoseconds, 10) / 1e6;
    } catch {
      return Number.NaN;
    }
  }

  /** The worker's event loop has turned. */
  beat(heapMb: number): void {
    Atomics.add(this.marks, BEAT, 1);
    Atomics.store(this.marks, HEAP_MB, heapMb);
  }

  /** The worker runs code of this slot from here on; 0 is nobody's. */
  enter(slot: number): void {
    Atomics.store(this.marks, CURRENT, slot);
  }

  get beats(): number {
    return Atomics.load(this.marks, BEAT);
  }

  get current(): number {
    return Atomics.load(this.marks, CURRENT);
  }

  /** Heap in use at the last beat. */
  get heapMb(): number {
    return Atomics.load(this.marks, HEAP_MB);
  }
}

/** A thread that sleeps in a system call uses no CPU: so many times the limit is its limit. */
const IDLE_FACTOR = 6;

/**
 * Tells whether a thread has stopped turning its event loop. What counts is its own CPU time, so that a busy machine does not
 * look like a loop, and checks instead of clock time, so that one that was asleep does not either.
 */
export class BeatWatch {
  static readonly INTERVAL_MS = 2 * BEAT_MS;
  private beats = 0;
  private missed = 0;
  private cpuMsAtBeat = 0;

  constructor(private readonly marks: ThreadMarks) {}

  /** To be called every {@link BeatWatch.INTERVAL_MS}. */
  check(): void {
    const { beats } = this.marks;
    this.missed = beats === this.beats ? this.missed + 1 : 0;
    this.beats = beats;
    if (this.missed === 0) this.cpuMsAtBeat = this.marks.cpuMs;
  }

  /** Whether the last check saw no beat. */
  get isSilent(): boolean {
    return this.missed > 0;
  }

  isStalled(limitMs: number): boolean {
    const silentMs = this.missed * BeatWatch.INTERVAL_MS;
    if (silentMs < limitMs) return false;
    const busyMs = this.marks.cpuMs - this.cpuMsAtBeat;
    // The CPU time lags behind the first missed check by up to one interval.
    return Number.isNaN(busyMs) || busyMs >= limitMs - BeatWatch.INTERVAL_MS || silentMs >= IDLE_FACTOR * limitMs;
  }
}
