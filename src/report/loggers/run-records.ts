import { readFile } from "node:fs/promises";
import { type MetricRecord, positionOf } from "./contract.js";

/** A line of metrics.jsonl or validation.jsonl as a record: what is no finite number is left out. */
export function recordOf(kind: MetricRecord["kind"], line: Readonly<Record<string, unknown>>): MetricRecord {
  const values = Object.entries(line).filter(([name, value]) => name !== "step" && Number.isFinite(value));
  return { kind, step: line["step"] as number, time: Date.now(), values: Object.fromEntries(values) as never };
}

/** Records of a run's files with places after one and up to another, in order; of two with one place, the later. */
export async function recordsBetween(
  files: Readonly<Record<MetricRecord["kind"], string>>,
  after: number,
  upTo: number,
): Promise<MetricRecord[]> {
  if (after >= upTo) return [];
  const records = new Map<number, MetricRecord>();
  for (const kind of ["step", "evaluation"] as const) {
    for (const record of await readRecords(kind, files[kind])) {
      const position = positionOf(record);
      if (position > after && position <= upTo) records.set(position, record);
    }
  }
  return [...records].sort(([a], [b]) => a - b).map(([, record]) => record);
}

async function readRecords(kind: MetricRecord["kind"], file: string): Promise<MetricRecord[]> {
  const lines = (await readFile(file, "utf8")).split("\n").slice(0, -1);
  return lines.map((line) => recordOf(kind, JSON.parse(line)));
}
