import { type FileHandle, mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { type MetricRecord, NOWHERE, type OpenedTracker, type TrackedRun, type Tracker } from "../contract.js";
import { flatConfig } from "../flat-config.js";
import { hparamsEvent, restartEvent, scalarsEvent, textEvent, versionEvent } from "./event.js";
import { cutBack, eventFiles, nextEventFile } from "./event-folder.js";
import { frameRecord } from "./tf-record.js";

/** Event files that `tensorboard --logdir` shows. */
export class TensorBoard implements Tracker {
  readonly remedy = "Free space in the folder, or name another one: `trainer_common.logger_options.tensorboard.dir`.";
  readonly #folder: string;
  #file: FileHandle | undefined;

  /** @param folder Of this run alone. */
  constructor(
    private readonly run: TrackedRun,
    folder: string,
  ) {
    this.#folder = folder;
  }

  async open(): Promise<OpenedTracker> {
    await mkdir(this.#folder, { recursive: true });
    const earlier = await eventFiles(this.#folder);
    const holds = await cutBack(this.#folder, earlier, this.run.keepUpTo);
    const now = Date.now();
    this.#file = await open(join(this.#folder, nextEventFile(earlier, now)), "ax");
    // A TensorBoard that has read what was cut off forgets it.
    const restart = earlier.length > 0 ? [restartEvent(now, Math.floor(this.run.keepUpTo / 2) + 1)] : [];
    await this.#append([versionEvent(now), ...restart, ...(holds === NOWHERE ? this.#settings(now) : [])]);
    return { where: `tensorboard --logdir ${this.#folder}`, holds };
  }

  async write(records: readonly MetricRecord[]): Promise<void> {
    await this.#append(records.map(({ time, step, values }) => scalarsEvent(time, step, values)));
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  abandon(): void {
    void this.close().catch(() => {});
  }

  #settings(now: number): Buffer[] {
    const { config, name } = this.run;
    const json = JSON.stringify(config, null, 2).replace(/^/gm, "    "); // four spaces make code of it in Markdown
    return [textEvent(now, "configuration", json), hparamsEvent(now, name, flatConfig(config))];
  }

  async #append(events: readonly Buffer[]): Promise<void> {
    await this.#file?.appendFile(Buffer.concat(events.map(frameRecord)));
  }
}
