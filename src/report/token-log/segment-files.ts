import { constants } from "node:fs";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileError } from "../../native/file-error.js";

/** Read access to a log's folder. */
export interface LogFolder {
  readonly path: string;
  /** What is in it. @throws where it is missing or may not be read. */
  list(): Promise<readonly { name: string; isFile(): boolean }[]>;
  /** Opens a file of it for reading. @throws where it is missing, or a symbolic link. */
  open(name: string): Promise<FileHandle>;
}

/** A file of the log: steps from `firstStep` to where the next file begins. */
export interface SegmentFile {
  path: string;
  firstStep: number;
  open(): Promise<FileHandle>;
}

const NAME = /^steps-(\d{8,})\.ajetlog$/;

/** A symbolic link is not followed, and a pipe holds nobody up. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** A folder as the file system has it: what is read lies in it. */
export function logFolderAt(path: string): LogFolder {
  return {
    path,
    list: () => readdir(path, { withFileTypes: true }),
    open: (name) => open(join(path, name), READ_FLAGS),
  };
}

export function segmentPath(folder: string, firstStep: number): string {
  return join(folder, `steps-${String(firstStep).padStart(8, "0")}.ajetlog`);
}

/** The segments of a folder, oldest first; other files are none of the log's. @throws FileError where there is no folder. */
export async function listSegments(folder: LogFolder): Promise<SegmentFile[]> {
  try {
    return segmentsOf(folder, await folder.list());
  } catch (error) {
    throw fileError(`Cannot read the token log ${folder.path}`, error);
  }
}

function segmentsOf(folder: LogFolder, entries: Awaited<ReturnType<LogFolder["list"]>>): SegmentFile[] {
  return entries
    .filter((entry) => entry.isFile())
    .flatMap(({ name }) => {
      const digits = NAME.exec(name)?.[1];
      if (digits === undefined) return [];
      return [{ path: join(folder.path, name), firstStep: Number(digits), open: () => folder.open(name) }];
    })
    .sort((a, b) => a.firstStep - b.firstStep);
}
