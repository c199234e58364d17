import type { MetricsRow } from "./api-types.js";
import type { ConfinedFolder, RelativePath } from "./confined-folder.js";

/** Bytes that are read of a log at once. */
const CHUNK_BYTES = 4 * 2 ** 20;

/** What {@link readRows} found. */
export interface RowsRead {
  rows: MetricsRow[];
  /** Where the next whole line begins. */
  next: number;
  size: number;
}

/**
 * Rows of a log of one JSON object a line, from a byte on. A last line without its end is left for the next time, and
 * lines that hold no step are left out.
 */
export function readRows(folder: ConfinedFolder, file: RelativePath, from: number): RowsRead {
  const found = folder.read(file, from, CHUNK_BYTES);
  if (found === undefined) return { rows: [], next: 0, size: 0 };
  const { bytes, size } = found;
  let end = bytes.lastIndexOf(10) + 1;
  // A line that fills the whole chunk is not one of ours.
  if (end === 0 && bytes.length === CHUNK_BYTES) end = bytes.length;
  const lines = bytes.subarray(0, end).toString("utf8").split("\n");
  return { rows: lines.flatMap(parseRow), next: from + end, size };
}

/** All rows of a log, by step; of two with one step, the later counts. */
export function readAllRows(folder: ConfinedFolder, file: RelativePath): MetricsRow[] {
  const byStep = new Map<number, MetricsRow>();
  for (let from = 0; ; ) {
    const { rows, next } = readRows(folder, file, from);
    for (const row of rows) byStep.set(row.step, row);
    if (next <= from) return [...byStep.values()].sort((a, b) => a.step - b.step);
    from = next;
  }
}

function parseRow(line: string): MetricsRow[] {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null) return [];
    const numbers = Object.entries(value).filter(([, entry]) => typeof entry === "number");
    const row = Object.fromEntries(numbers) as MetricsRow;
    return typeof row.step === "number" ? [row] : [];
  } catch {
    return [];
  }
}

/** The series that the list of runs shows, read on as the log grows. */
export class MetricsTail {
  readonly steps: number[] = [];
  readonly rewards: number[] = [];
  last: MetricsRow | undefined;
  #offset = 0;
  #generation: string | undefined;

  constructor(
    private readonly folder: ConfinedFolder,
    private readonly file: RelativePath,
  ) {}

  /** @param generation Of the run: another one voids what was read. */
  update(generation: string): void {
    const size = this.folder.sizeOf(this.file) ?? 0;
    if (generation !== this.#generation || size < this.#offset) this.#restart(generation);
    while (this.#offset < size) {
      const { rows, next } = readRows(this.folder, this.file, this.#offset);
      for (const row of rows) this.#add(row);
      if (next <= this.#offset) break;
      this.#offset = next;
    }
  }

  #restart(generation: string): void {
    this.#generation = generation;
    this.#offset = 0;
    this.steps.length = 0;
    this.rewards.length = 0;
    this.last = undefined;
  }

  #add(row: MetricsRow): void {
    this.last = row;
    const reward = row["critic/rewards/mean"];
    if (reward === undefined) return;
    this.steps.push(row.step);
    this.rewards.push(reward);
  }
}
