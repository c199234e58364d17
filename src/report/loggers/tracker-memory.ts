import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { NOWHERE, type TrackerName } from "./contract.js";

/** Under which id a service knows the run, and the place of the last record that it has for good. */
export interface TrackerState {
  id: string | null;
  holds: number;
}

/** The folder of a run for what its trackers leave. */
export function trackersFolder(runFolder: string): string {
  return join(runFolder, "loggers");
}

/** Where a tracker's state lies. */
export function memoryFile(runFolder: string, name: TrackerName): string {
  return join(trackersFolder(runFolder), `${name}.json`);
}

/** Nothing known where the file is missing or no JSON: the service is given the whole run then. */
export function readMemory(file: string): TrackerState {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return { id: null, holds: NOWHERE };
  }
}

export function writeMemory(file: string, state: TrackerState): void {
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.tmp-${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(state)}\n`);
  renameSync(temporary, file);
}

/** 21 letters and digits: what SwanLab wants of an id, and W&B allows. */
export function newTrackerId(): string {
  return [...randomBytes(21)].map((byte) => (byte % 36).toString(36)).join("");
}
