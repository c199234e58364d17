import { readdir, readFile, truncate } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { NOWHERE, positionOf } from "../contract.js";
import { readScalarTags } from "./event.js";
import { readRecords } from "./tf-record.js";

/** TensorBoard reads a folder's files in the order of their names. */
const EVENT_FILE = /^events\.out\.tfevents\.(\d+)\./;

/** Every line of metrics.jsonl has it, and no line of validation.jsonl. */
const STEP_TAG = "training/global_step";

/** The event files of a run, oldest first. */
export async function eventFiles(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => EVENT_FILE.test(name)).sort();
}

/** A name that comes after those of all earlier files. */
export function nextEventFile(earlier: readonly string[], timeMs: number): string {
  const latest = Number(EVENT_FILE.exec(earlier.at(-1) ?? "")?.[1] ?? 0);
  const seconds = Math.max(Math.floor(timeMs / 1000), latest + 1);
  return `events.out.tfevents.${String(seconds).padStart(10, "0")}.${hostname()}.${process.pid}.ajet`;
}

/**
 * Cuts event files back to the records up to a place; a record torn by a crash goes too.
 * @returns The place of the last record that is left.
 */
export async function cutBack(folder: string, files: readonly string[], upTo: number): Promise<number> {
  let holds = NOWHERE;
  for (const name of files) {
    const content = await readFile(join(folder, name));
    let keep = 0;
    for (const { data, end } of readRecords(content)) {
      const position = positionIn(data);
      if (position > upTo) break;
      holds = Math.max(holds, position);
      keep = end;
    }
    if (keep < content.length) await truncate(join(folder, name), keep);
  }
  return holds;
}

/** Place of an event's record; {@link NOWHERE} where it holds no metrics. */
function positionIn(data: Buffer): number {
  const { step, tags } = readScalarTags(data);
  if (tags.length === 0) return NOWHERE;
  return positionOf({ kind: tags.includes(STEP_TAG) ? "step" : "evaluation", step });
}
