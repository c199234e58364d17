const BEAT = 0;
const CURRENT = 1;
const HEAP_MB = 2;

/** How often a worker counts up. */
export const BEAT_MS = 100;

/** What a worker thread leaves in shared memory, readable while it hangs. */
export class ThreadMarks {
  private readonly marks: Int32Array;

  constructor(readonly buffer = new SharedArrayBuffer(12)) {
    this.marks = new Int32Array(buffer);
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

/** Tells whether a thread still turns its event loop. Counts checks, not time: a machine that slept must not look like a loop. */
export class BeatWatch {
  private last = 0;
  private missed = 0;

  constructor(private readonly marks: ThreadMarks) {}

  /** To be called every {@link BeatWatch.INTERVAL_MS}. */
  check(): void {
    const { beats } = this.marks;
    this.missed = beats === this.last ? this.missed + 1 : 0;
    this.last = beats;
  }

  /** How long no beat was seen. */
  get silentMs(): number {
    return this.missed * BeatWatch.INTERVAL_MS;
  }

  static readonly INTERVAL_MS = 2 * BEAT_MS;
}
