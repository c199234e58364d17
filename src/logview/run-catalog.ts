import { basename } from "node:path";
import type { ProcessMark } from "../train/process-mark.js";
import { markOf } from "../train/process-mark.js";
import { MOST_SPARK_POINTS, type RunInfo, type RunStatus } from "./api-types.js";
import type { ConfinedFolder, RelativePath } from "./confined-folder.js";
import { MetricsTail } from "./metrics-tail.js";
import { readSettings } from "./settings.js";

/** Folders between the root and a run. */
const MOST_LEVELS = 3;
const MOST_RUNS = 1000;

/** A run that was found below the root. */
export interface FoundRun {
  id: string;
  path: RelativePath;
}

/** The runs below a folder. Ids are looked up among what was found, never turned into paths. */
export class RunCatalog {
  readonly #tails = new Map<string, MetricsTail>();

  constructor(readonly folder: ConfinedFolder) {}

  /** @returns Undefined where there is no such run. */
  find(id: string): FoundRun | undefined {
    return this.#search().find((run) => run.id === id);
  }

  /** All runs, those written to last first. */
  list(): RunInfo[] {
    const found = this.#search();
    const known = new Set(found.map(({ id }) => id));
    for (const id of this.#tails.keys()) if (!known.has(id)) this.#tails.delete(id);
    return found.map((run) => this.describe(run)).sort((a, b) => (b.updatedMs ?? 0) - (a.updatedMs ?? 0));
  }

  /** Changes when a run is resumed. */
  generation(run: FoundRun): string {
    return String(this.folder.modified([...run.path, "run.json"]) ?? 0);
  }

  describe(run: FoundRun): RunInfo {
    const file = [...run.path, "metrics.jsonl"];
    const tail = this.#tails.get(run.id) ?? new MetricsTail(this.folder, file);
    this.#tails.set(run.id, tail);
    tail.update(this.generation(run));
    const origin = asRecord(this.folder.readJson([...run.path, "run.json"]));
    const summary = asRecord(this.folder.readJson([...run.path, "summary.json"]));
    const { last } = tail;
    return {
      id: run.id,
      name: run.path.at(-1) ?? basename(this.folder.root),
      kind: String(origin?.["kind"] ?? "train"),
      yaml: typeof origin?.["yaml"] === "string" ? basename(origin["yaml"]) : null,
      status: statusOf(origin?.["process"], summary !== undefined),
      updatedMs: this.folder.modified(file) ?? this.folder.modified([...run.path, "run.json"]) ?? null,
      step: last?.step ?? 0,
      totalSteps: this.#totalSteps(run, summary),
      spark: thinned(tail.steps, tail.rewards),
      lastReward: last?.["critic/rewards/mean"] ?? null,
      lastSuccess: last?.["critic/success_rate"] ?? null,
      secondsPerStep: last?.["timing_s/step"] ?? null,
      summary: summary ?? null,
      hasTokens: (this.folder.list([...run.path, "tokens"]) ?? []).length > 0,
    };
  }

  #totalSteps(run: FoundRun, summary: Record<string, unknown> | undefined): number | null {
    const steps = Number(readSettings(this.folder, run.path)["trainer_common.total_training_steps"] ?? "null");
    if (steps > 0) return steps;
    return typeof summary?.["steps"] === "number" ? summary["steps"] : null;
  }

  #search(path: RelativePath = [], found: FoundRun[] = []): FoundRun[] {
    if (found.length >= MOST_RUNS) return found;
    const entries = this.folder.list(path) ?? [];
    if (entries.some((entry) => entry.isFile() && /^(run\.json|metrics\.jsonl)$/.test(entry.name))) {
      found.push({ id: path.join("/") || ".", path });
    } else if (path.length < MOST_LEVELS) {
      const folders = entries.filter((entry) => entry.isDirectory() && !isHidden(entry.name));
      for (const { name } of folders) this.#search([...path, name], found);
    }
    return found;
  }
}

function isHidden(name: string): boolean {
  return name.startsWith(".") || name === "node_modules" || name.includes(".tmp-");
}

function statusOf(mark: unknown, ended: boolean): RunStatus {
  const process = asRecord(mark) as Partial<ProcessMark> | undefined;
  const pid = process?.pid;
  if (Number.isSafeInteger(pid) && process?.startTicks && markOf(pid as number).startTicks === process.startTicks) {
    return ended ? "finished" : "running";
  }
  return ended ? "finished" : "stopped";
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
}

/** Every nth point, the last one always. */
function thinned(steps: readonly number[], rewards: readonly number[]): RunInfo["spark"] {
  const stride = Math.max(1, Math.ceil(steps.length / MOST_SPARK_POINTS));
  const keep = (_: number, i: number) => (steps.length - 1 - i) % stride === 0;
  return { steps: steps.filter(keep), rewards: rewards.filter(keep) };
}
