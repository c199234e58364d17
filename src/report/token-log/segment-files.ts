import { constants } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileError } from "../../native/file-error.js";

/** A file of the log: steps from `firstStep` to where the next file begins. */
export interface SegmentFile {
  path: string;
  firstStep: number;
}

const NAME = /^steps-(\d{8,})\.ajetlog$/;

/** A symbolic link in the folder is not followed: what is read lies in it. */
export const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW;

export function segmentPath(folder: string, firstStep: number): string {
  return join(folder, `steps-${String(firstStep).padStart(8, "0")}.ajetlog`);
}

/** The segments of a folder, oldest first; other files are none of the log's. @throws FileError where there is no folder. */
export async function listSegments(folder: string): Promise<SegmentFile[]> {
  try {
    return segmentsOf(folder, await readdir(folder, { withFileTypes: true }));
  } catch (error) {
    throw fileError(`Cannot read the token log ${folder}`, error);
  }
}

/** As {@link listSegments}, of what `readdir` with `withFileTypes` gave. */
export function segmentsOf(folder: string, entries: readonly { name: string; isFile(): boolean }[]): SegmentFile[] {
  return entries
    .filter((entry) => entry.isFile())
    .flatMap(({ name }) => {
      const digits = NAME.exec(name)?.[1];
      return digits === undefined ? [] : [{ path: join(folder, name), firstStep: Number(digits) }];
    })
    .sort((a, b) => a.firstStep - b.firstStep);
}
