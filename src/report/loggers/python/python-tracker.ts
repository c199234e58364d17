import { join } from "node:path";
import {
  type MetricRecord,
  NOWHERE,
  type OpenedTracker,
  positionOf,
  type TrackedRun,
  type Tracker,
} from "../contract.js";
import { memoryFile, newTrackerId, trackersFolder } from "../tracker-memory.js";
import { BridgeProcess } from "./bridge-process.js";

/** Settings of a tracker that runs in Python; null: what the package's own environment variables and logins say. */
export interface PythonTrackerOptions {
  /** The interpreter that has the package. */
  python: string;
  mode: string | null;
  /** Of a server of one's own. */
  host: string | null;
  /** SwanLab's workspace, W&B's entity. */
  workspace: string | null;
  /** How long the package may take to finish where Node was killed, in seconds. */
  limit: number;
}

/** Signs that SwanLab refuses in a project's name. */
const NOT_IN_PROJECT = /[^0-9a-zA-Z_\-+.]/g;

const KEYS = { swanlab: "SWANLAB_API_KEY", wandb: "WANDB_API_KEY" } as const;

/** SwanLab or W&B, by the user's own Python package. */
export class PythonTracker implements Tracker {
  #bridge: BridgeProcess | undefined;

  constructor(
    private readonly name: keyof typeof KEYS,
    private readonly run: TrackedRun,
    private readonly options: PythonTrackerOptions,
  ) {}

  get remedy(): string {
    const { name, options } = this;
    return (
      `It needs \`pip install ${name}\` for ${options.python} (another one: \`trainer_common.logger_options.python\`), and ` +
      `${KEYS[name]} in the environment or \`trainer_common.logger_options.${name}.mode=offline\`. ` +
      `What the package says: ${this.#logFile}`
    );
  }

  async open(): Promise<OpenedTracker> {
    const { name, folder: runFolder, config } = this.run;
    const project = this.run.project.replace(NOT_IN_PROJECT, "-");
    const { mode, host, workspace, python, limit } = this.options;
    const folder = trackersFolder(runFolder);
    this.#bridge = new BridgeProcess(python, this.name, this.#logFile);
    const memory = memoryFile(runFolder, this.name);
    const run = { id: newTrackerId(), project, name, folder, memory, config, mode, host, workspace, limit };
    const { where = folder, holds = NOWHERE } = await this.#bridge.ask({ open: run });
    return { where, holds };
  }

  async write(records: readonly MetricRecord[]): Promise<void> {
    const answers = records.map((record) => {
      const { step, values } = record;
      return this.#bridge?.ask({ position: positionOf(record), step, values });
    });
    await Promise.all(answers);
  }

  async close(outcome: string): Promise<void> {
    await this.#bridge?.ask({ finish: outcome });
  }

  abandon(): void {
    this.#bridge?.kill();
  }

  get #logFile(): string {
    return join(trackersFolder(this.run.folder), `${this.name}.log`);
  }
}
