import { setTimeout as sleep } from "node:timers/promises";
import {
  type MetricRecord,
  NOWHERE,
  type Outcome,
  positionOf,
  type Tracker,
  type TrackerName,
  UnreachableError,
} from "./contract.js";

/** Records that wait for a tracker; beyond that the oldest go. */
const MOST_WAITING = 10_000;
/** Records of one write. */
const MOST_AT_ONCE = 100;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 60_000;
/** Characters of what a package or server says of its failure. */
const LONGEST_REASON = 400;

/** What a queue needs beside its tracker. */
export interface QueueOptions {
  name: TrackerName;
  /** Records that an earlier process of the run left in its files, from a place on. */
  earlier(after: number): Promise<MetricRecord[]>;
  /** Something to tell people. */
  onNote(text: string): void;
  /** Something that went wrong. */
  onWarning(text: string): void;
}

/** Feeds one tracker in the background. Whatever the tracker does, no call here throws or waits, {@link close} a while. */
export class TrackerQueue {
  readonly #waiting: MetricRecord[] = [];
  readonly #running: Promise<void>;
  readonly #hurry = new AbortController();
  #wake: () => void = () => {};
  #outcome: Outcome | undefined;
  #holds = NOWHERE;
  #isOff = false;
  #isUnreachable = false;
  #lost = 0;

  constructor(
    private readonly tracker: Tracker,
    private readonly options: QueueOptions,
  ) {
    this.#running = this.#run().catch((error: unknown) => this.#giveUp(error));
  }

  add(record: MetricRecord): void {
    if (this.#isOff) return;
    this.#waiting.push(record);
    if (this.#waiting.length > MOST_WAITING) {
      this.#waiting.shift();
      this.#lost++;
    }
    this.#wake();
  }

  /** Resolves when the tracker has everything, or after the limit. */
  async close(outcome: Outcome, limitMs: number): Promise<void> {
    this.#outcome = outcome;
    this.#hurry.abort();
    this.#wake();
    const timer = new AbortController();
    const isInTime = await Promise.race([
      this.#running.then(() => true),
      sleep(limitMs, false, { signal: timer.signal }).catch(() => true),
    ]);
    timer.abort();
    if (isInTime) return;
    this.#giveUp(new Error(`it was not done ${limitMs / 1000} s after the run's end (\`close_timeout_s\`)`));
    await Promise.race([this.#running, sleep(1000, undefined, { ref: false })]);
  }

  async #run(): Promise<void> {
    const { where, holds } = await this.#persist(() => this.tracker.open());
    if (this.#isOff) return;
    this.#holds = holds;
    this.options.onNote(`${this.options.name}: ${where}`);
    this.#waiting.unshift(...(await this.options.earlier(holds)));
    while (!this.#isOff) {
      const records = this.#take();
      if (records.length > 0) await this.#persist(() => this.tracker.write(records));
      else if (this.#outcome === undefined) await this.#more();
      else break;
    }
    const outcome = this.#outcome;
    if (!this.#isOff && outcome !== undefined) await this.tracker.close(outcome);
    if (this.#lost > 0) this.options.onWarning(`logger ${this.options.name}: ${this.#lost} steps did not reach it`);
  }

  /** The next records that the tracker does not hold: a resumed run repeats what came after its checkpoint. */
  #take(): MetricRecord[] {
    return this.#waiting.splice(0, MOST_AT_ONCE).filter((record) => positionOf(record) > this.#holds);
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Repeats what failed because a service does not answer, more and more seldom; once only when the run has ended. */
  async #persist<T>(action: () => Promise<T>): Promise<T> {
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
      const isLast = this.#outcome !== undefined;
      try {
        const result = await action();
        if (this.#isUnreachable) this.options.onNote(`logger ${this.options.name} answers again`);
        this.#isUnreachable = false;
        return result;
      } catch (error) {
        if (!(error instanceof UnreachableError) || isLast || this.#isOff) throw error;
        if (this.#outcome === undefined) this.#tellUnreachable(error);
        await sleep(waitMs, undefined, { signal: this.#hurry.signal }).catch(() => {});
      }
    }
  }

  #tellUnreachable(error: UnreachableError): void {
    if (this.#isUnreachable) return;
    this.#isUnreachable = true;
    const { name, onWarning } = this.options;
    onWarning(`logger ${name}: ${error.message}. The run goes on, and its steps wait. ${this.tracker.remedy}`);
  }

  #giveUp(error: unknown): void {
    if (this.#isOff) return;
    this.#isOff = true;
    this.#waiting.length = 0;
    this.tracker.abandon();
    const { name, onWarning } = this.options;
    if (this.#isUnreachable) {
      onWarning(
        `logger ${name} does not answer to the end: metrics.jsonl has every step, and --resume sends what waits`,
      );
      return;
    }
    const message = error instanceof Error ? error.message : String(error);
    const reason = message.replace(/\s+/g, " ").slice(0, LONGEST_REASON).replace(/\.$/, "");
    onWarning(`logger ${name} is off: ${reason}. metrics.jsonl has every step. ${this.tracker.remedy}`);
  }
}
