import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { FileError } from "../native/errors.js";
import { fileError } from "../native/file-error.js";

/** Writes beside the place, syncs and renames: a reader sees the old file or the whole new one. */
export function writeFileAtomically(file: string, content: string, mode = 0o666): void {
  const temporary = `${file}.tmp-${process.pid}`;
  try {
    const descriptor = openSync(temporary, "w", mode);
    try {
      writeFileSync(descriptor, content); // not writeSync, which may write a part of it on a full disk
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, file);
    syncPath(dirname(file));
  } catch (error) {
    removeLeftover(temporary);
    throw fileError(`Cannot write ${file}`, error);
  }
}

/** As {@link writeFileAtomically}, of a JSON value. */
export function writeJsonAtomically(file: string, value: unknown): void {
  writeFileAtomically(file, `${JSON.stringify(value, null, 2)}\n`);
}

/** @throws FileError naming the file when it is missing or no JSON. */
export function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new FileError(`Cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

/** Removes what was only half made; what cannot be removed is left, so that the failure before it is the one that is told. */
export function removeLeftover(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {}
}

/** Makes a file's content, or the names in a folder, survive a power cut. */
export function syncPath(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** As {@link syncPath}, for the files of a folder and the folder itself. */
export function syncFolder(folder: string): void {
  for (const name of readdirSync(folder)) syncPath(join(folder, name));
  syncPath(folder);
}
