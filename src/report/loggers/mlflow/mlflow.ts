import {
  type MetricRecord,
  NOWHERE,
  type OpenedTracker,
  type Outcome,
  type TrackedRun,
  type Tracker,
} from "../contract.js";
import { flatConfig } from "../flat-config.js";
import { memoryFile, readMemory, writeMemory } from "../tracker-memory.js";
import { batchesOf, HOLDS_TAG, mlflowName } from "./batches.js";
import { MlflowApi, MlflowError } from "./mlflow-api.js";

/** Limits of one log-batch request, and of a parameter's value. */
const MOST_PARAMETERS = 100;
const LONGEST_VALUE = 500;

const STATUS: Record<Outcome, string> = { finished: "FINISHED", stopped: "KILLED", failed: "FAILED" };

/** An MLflow tracking server, by its REST API. */
export class Mlflow implements Tracker {
  readonly remedy =
    "Start the server, or name it: `trainer_common.logger_options.mlflow.tracking_uri` or MLFLOW_TRACKING_URI " +
    "(http or https; the login: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN).";
  readonly #api: MlflowApi;
  readonly #memory: string;
  #id = "";

  constructor(
    private readonly run: TrackedRun,
    uri: string,
  ) {
    this.#api = new MlflowApi(uri);
    this.#memory = memoryFile(run.folder, "mlflow");
  }

  async open(): Promise<OpenedTracker> {
    const experiment = await this.#experiment();
    const { id } = readMemory(this.#memory);
    this.#id = id ?? (await this.#create(experiment));
    if (id === null) writeMemory(this.#memory, { id: this.#id, holds: NOWHERE });
    else await this.#api.post("runs/update", { run_id: id, status: "RUNNING" });
    const holds = id === null ? NOWHERE : await this.#heldByServer();
    if (holds === NOWHERE) await this.#logSettings();
    return { where: `${this.#api.address}/#/experiments/${experiment}/runs/${this.#id}`, holds };
  }

  async write(records: readonly MetricRecord[]): Promise<void> {
    // A request that is repeated leaves no second points: time, step and value are the same.
    for (const batch of batchesOf(records)) await this.#api.post("runs/log-batch", { run_id: this.#id, ...batch });
  }

  async close(outcome: Outcome): Promise<void> {
    await this.#api.post("runs/update", { run_id: this.#id, status: STATUS[outcome], end_time: Date.now() });
  }

  abandon(): void {
    this.#api.abort();
  }

  /** The experiment with the project's name; another run may make it at the same time. */
  async #experiment(): Promise<string> {
    const name = this.run.project;
    const find = async () => {
      const { experiment } = await this.#api.get("experiments/get-by-name", { experiment_name: name });
      return (experiment as { experiment_id: string }).experiment_id;
    };
    try {
      return await find();
    } catch (error) {
      if (!(error instanceof MlflowError) || error.code !== "RESOURCE_DOES_NOT_EXIST") throw error;
    }
    try {
      return (await this.#api.post("experiments/create", { name }))["experiment_id"] as string;
    } catch (error) {
      if (error instanceof MlflowError && error.code === "RESOURCE_ALREADY_EXISTS") return find();
      throw error;
    }
  }

  /** The server knows it best: a run that is killed cannot tell whether its last request arrived. */
  async #heldByServer(): Promise<number> {
    const { run } = await this.#api.get("runs/get", { run_id: this.#id });
    const { tags = [] } = (run as { data: { tags?: { key: string; value: string }[] } }).data;
    return Number(tags.find(({ key }) => key === HOLDS_TAG)?.value ?? NOWHERE);
  }

  async #create(experiment: string): Promise<string> {
    const { run } = await this.#api.post("runs/create", {
      experiment_id: experiment,
      run_name: this.run.name,
      start_time: Date.now(),
      tags: [{ key: "mlflow.source.name", value: "ajet" }],
    });
    return (run as { info: { run_id: string } }).info.run_id;
  }

  /** The configuration as parameters. They may be logged again, but never changed. */
  async #logSettings(): Promise<void> {
    const parameters = flatConfig(this.run.config).map(([key, value]) => ({
      key: mlflowName(key),
      value: String(value).slice(0, LONGEST_VALUE),
    }));
    for (const params of chunks(parameters, MOST_PARAMETERS)) {
      await this.#api.post("runs/log-batch", { run_id: this.#id, params });
    }
  }
}

function* chunks<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let i = 0; i < items.length; i += size) yield items.slice(i, i + size);
}
