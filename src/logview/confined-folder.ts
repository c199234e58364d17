import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  type Stats,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, FileError } from "../native/errors.js";

/** A file or folder below the root, as the folders' names from there; empty for the root itself. */
export type RelativePath = readonly string[];

/** No file of a run that is read as a whole is larger: a larger one is not ours. */
const MOST_BYTES = 64 * 2 ** 20;

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants;
const FILE = O_RDONLY | O_NOFOLLOW | O_NONBLOCK; // a pipe must not hold us
const FOLDER = O_RDONLY | O_NOFOLLOW | O_DIRECTORY;

/**
 * Read access to what lies below one folder, and to nothing else. Everything is opened first, and read only where the
 * system says that what is open lies at the very path that was asked for: links are not followed, and none that is put
 * there meanwhile leads out.
 */
export class ConfinedFolder {
  /** The folder, links in its own path resolved. */
  readonly root: string;

  /** @throws ConfigError where there is no such folder. */
  constructor(folder: string) {
    try {
      this.root = realpathSync(folder);
      readdirSync(this.root);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new ConfigError(`Expected a folder with runs but cannot read ${folder}: ${code}`, { cause: error });
    }
  }

  /** Where it lies, without a look at what is there. */
  pathOf(path: RelativePath): string {
    return join(this.root, ...path);
  }

  /** Folders and regular files in a folder; undefined where it is missing, behind a link, or no folder. */
  list(path: RelativePath): Dirent[] | undefined {
    return this.#use(path, FOLDER, (descriptor) =>
      readdirSync(placeOf(descriptor), { withFileTypes: true }).filter((e) => e.isDirectory() || e.isFile()),
    );
  }

  /**
   * A regular file, open for reading; the caller closes it.
   * @throws FileError where it is behind a link, or no regular file; the system's error where it is missing.
   */
  async open(path: RelativePath): Promise<FileHandle> {
    const file = path.every(isPlainName) ? await open(this.pathOf(path), FILE) : undefined;
    if (file !== undefined && this.#isAt(file.fd, path) && (await file.stat()).isFile()) return file;
    await file?.close();
    throw new FileError(`${path.join("/")} is no regular file of the folder that is shown`);
  }

  /**
   * Bytes of a regular file.
   * @returns Undefined where it is missing, a link, no regular file, or lies outside.
   */
  read(path: RelativePath, from = 0, most = MOST_BYTES): { bytes: Buffer; size: number } | undefined {
    return this.#useFile(path, (descriptor, { size }) => {
      const bytes = Buffer.alloc(Math.max(0, Math.min(size - from, most)));
      const length = bytes.length === 0 ? 0 : readSync(descriptor, bytes, 0, bytes.length, from);
      return { bytes: bytes.subarray(0, length), size };
    });
  }

  /** As {@link read}, of a whole JSON file; undefined where it is none. */
  readJson(path: RelativePath): unknown {
    try {
      return JSON.parse(this.read(path)?.bytes.toString("utf8") ?? "");
    } catch {
      return undefined;
    }
  }

  /** When a file was last written, in ms; undefined as for {@link read}. */
  modified(path: RelativePath): number | undefined {
    return this.#useFile(path, (_, { mtimeMs }) => mtimeMs);
  }

  /** In bytes; undefined as for {@link read}. */
  sizeOf(path: RelativePath): number | undefined {
    return this.#useFile(path, (_, { size }) => size);
  }

  #useFile<T>(path: RelativePath, use: (descriptor: number, stats: Stats) => T): T | undefined {
    return this.#use(path, FILE, (descriptor) => {
      const stats = fstatSync(descriptor);
      return stats.isFile() ? use(descriptor, stats) : undefined;
    });
  }

  /** Lends a descriptor of what lies at a path; undefined where nothing does, or the system refuses. */
  #use<T>(path: RelativePath, flags: number, use: (descriptor: number) => T): T | undefined {
    if (!path.every(isPlainName)) return undefined;
    let descriptor: number | undefined;
    try {
      descriptor = openSync(this.pathOf(path), flags);
      return this.#isAt(descriptor, path) ? use(descriptor) : undefined;
    } catch {
      return undefined;
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }

  /** Asked of what is open: a folder on the way that is a link, or becomes one, leads to another place. */
  #isAt(descriptor: number, path: RelativePath): boolean {
    const place = readlinkSync(placeOf(descriptor));
    const whole = this.pathOf(path);
    return place === whole || place === `${whole} (deleted)`; // replaced by a new version since
  }
}

/** What a descriptor stands for, as a path: it leads to what is open, wherever that is by now. */
function placeOf(descriptor: number): string {
  return `/proc/self/fd/${descriptor}`;
}

function isPlainName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !/[/\\\0]/.test(name);
}
