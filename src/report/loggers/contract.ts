/** Services and files that get a run's metrics beside metrics.jsonl and the console. */
export const TRACKERS = ["tensorboard", "swanlab", "wandb", "mlflow"] as const;
export type TrackerName = (typeof TRACKERS)[number];

/** One line of metrics.jsonl or validation.jsonl. */
export interface MetricRecord {
  kind: "step" | "evaluation";
  step: number;
  /** When it was measured, in milliseconds since 1970. */
  time: number;
  /** Finite numbers only. */
  values: Readonly<Record<string, number>>;
}

/** The place of a record in its run: updates in their order, each before the evaluation that follows it. */
export function positionOf({ kind, step }: Pick<MetricRecord, "kind" | "step">): number {
  return 2 * step + (kind === "evaluation" ? 1 : 0);
}

/** Before the first record. */
export const NOWHERE = -1;

/** How a run ended. */
export type Outcome = "finished" | "stopped" | "failed";

/** What a tracker is told of its run. */
export interface TrackedRun {
  project: string;
  name: string;
  /** The run's folder. */
  folder: string;
  /** The resolved configuration. */
  config: Readonly<Record<string, unknown>>;
  /** Place of the last record that a resumed run keeps; {@link NOWHERE} for a new run. */
  keepUpTo: number;
}

/** Where a tracker writes, once it is open. */
export interface OpenedTracker {
  /** A URL or a folder, for people. */
  where: string;
  /** Place of the last record that it holds already. */
  holds: number;
}

/** One tracker's own end of the work. Calls come one after the other, and nothing waits for them but the end of the run. */
export interface Tracker {
  /** Takes up the same run again where there was one. */
  open(): Promise<OpenedTracker>;
  /** @throws UnreachableError where the same call may succeed later. */
  write(records: readonly MetricRecord[]): Promise<void>;
  close(outcome: Outcome): Promise<void>;
  /** Lets go of everything at once, whatever is being done. */
  abandon(): void;
  /** What the user can do where the tracker failed. */
  readonly remedy: string;
}

/** A service does not answer at present. */
export class UnreachableError extends Error {}
