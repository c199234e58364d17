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
import { join, sep } from "node:path";
import { ConfigError } from "../native/errors.js";

/** A file or folder below the root, as the folders' names from there; empty for the root itself. */
export type RelativePath = readonly string[];

/** No file of a run that is read as a whole is larger: a larger one is not ours. */
const MOST_BYTES = 64 * 2 ** 20;

/** Read access to what lies below one folder, and to nothing else: names are checked, symbolic links are not followed. */
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

  /** Folders and regular files; nothing where the path is no folder of the root. */
  list(path: RelativePath): Dirent[] {
    if (!this.holds(path)) return [];
    try {
      return readdirSync(this.pathOf(path), { withFileTypes: true }).filter((e) => e.isDirectory() || e.isFile());
    } catch {
      return [];
    }
  }

  /** True where no step of the path is a symbolic link or leaves the root. */
  holds(path: RelativePath): boolean {
    if (!path.every(isPlainName)) return false;
    try {
      const whole = this.pathOf(path);
      return realpathSync(whole) === whole;
    } catch {
      return false;
    }
  }

  /** True for a folder that holds nothing but regular files and folders, all the way down: no link leads out of it. */
  isPlainTree(path: RelativePath): boolean {
    if (!this.holds(path)) return false;
    try {
      const entries = readdirSync(this.pathOf(path), { withFileTypes: true });
      return entries.every((e) => e.isFile() || (e.isDirectory() && this.isPlainTree([...path, e.name])));
    } catch {
      return false;
    }
  }

  /**
   * Bytes of a regular file.
   * @returns Undefined where it is missing, a link, no regular file, or lies outside.
   */
  read(path: RelativePath, from = 0, most = MOST_BYTES): { bytes: Buffer; size: number } | undefined {
    const descriptor = this.#open(path);
    if (descriptor === undefined) return undefined;
    try {
      const { size } = fstatSync(descriptor);
      const bytes = Buffer.alloc(Math.max(0, Math.min(size - from, most)));
      const length = bytes.length === 0 ? 0 : readSync(descriptor, bytes, 0, bytes.length, from);
      return { bytes: bytes.subarray(0, length), size };
    } catch {
      return undefined;
    } finally {
      closeSync(descriptor);
    }
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
    return this.#stat(path)?.mtimeMs;
  }

  /** In bytes; undefined as for {@link read}. */
  sizeOf(path: RelativePath): number | undefined {
    return this.#stat(path)?.size;
  }

  #stat(path: RelativePath): Stats | undefined {
    const descriptor = this.#open(path);
    if (descriptor === undefined) return undefined;
    try {
      return fstatSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  #open(path: RelativePath): number | undefined {
    if (path.length === 0 || !path.every(isPlainName)) return undefined;
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants; // a pipe must not hold us
    let descriptor: number;
    try {
      descriptor = openSync(this.pathOf(path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    } catch {
      return undefined;
    }
    // Asked of what is open, so that a folder that becomes a link meanwhile changes nothing.
    if (fstatSync(descriptor).isFile() && this.#isBelow(readlinkSync(`/proc/self/fd/${descriptor}`))) return descriptor;
    closeSync(descriptor);
    return undefined;
  }

  #isBelow(path: string): boolean {
    return path.startsWith(this.root === sep ? sep : this.root + sep);
  }
}

function isPlainName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !/[/\\\0]/.test(name);
}
