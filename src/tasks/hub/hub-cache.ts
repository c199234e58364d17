import { randomUUID } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileError } from "../../native/file-error.js";
import type { HubFile } from "./hub-api.js";
import type { HubStore } from "./hub-store.js";

/**
 * A data set in the hub's cache, laid out as Python's `huggingface_hub` has it: content lies once under `blobs/<etag>`,
 * `snapshots/<commit>/<path>` are links to it, and `refs/<revision>` holds a commit.
 */
export class HubCache implements HubStore {
  readonly folder: string;
  readonly #locks: string;

  constructor(cacheFolder: string, repo: string) {
    const name = `datasets--${repo.replaceAll("/", "--")}`;
    this.folder = join(cacheFolder, name);
    this.#locks = join(cacheFolder, ".locks", name);
  }

  target({ etag }: HubFile): string {
    return join(this.folder, "blobs", etag);
  }

  /** Python names its own otherwise. */
  partial(file: HubFile): string {
    return `${this.target(file)}.ajet.incomplete`;
  }

  lock({ etag }: HubFile): string {
    return join(this.#locks, `${etag}.ajet.lock`);
  }

  /** Where a commit's file is read. */
  snapshot(commit: string, path = ""): string {
    return join(this.folder, "snapshots", commit, path);
  }

  /** A blob was checked before it got its name. */
  async has(file: HubFile): Promise<boolean> {
    return (await stat(this.target(file)).catch(() => undefined))?.size === file.size;
  }

  /** Links a blob into a snapshot. */
  async place(commit: string, file: HubFile): Promise<string> {
    const place = this.snapshot(commit, file.path);
    if (existsSync(place)) return place;
    try {
      await mkdir(dirname(place), { recursive: true });
      await rm(place, { force: true }); // a link to nothing
      await symlink(relative(dirname(place), this.target(file)), place);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw fileError(`Cannot link ${place}`, error);
    }
    return place;
  }

  /** The commit that a revision had when it was last asked for. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (existsSync(this.snapshot(revision))) return revision;
    const commit = await readFile(this.#ref(revision), "utf8").catch(() => undefined);
    return commit?.trim();
  }

  async writeRef(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.commitOf(revision)) === commit) return;
    const file = this.#ref(revision);
    const temporary = `${file}.${randomUUID()}.tmp`;
    try {
      await mkdir(dirname(file), { recursive: true });
      await writeFile(temporary, commit);
      await rename(temporary, file);
    } catch (error) {
      throw fileError(`Cannot write ${file}`, error);
    }
  }

  /** Paths of the files that a snapshot has on this machine. */
  async paths(commit: string): Promise<string[]> {
    const folder = this.snapshot(commit);
    const names = await readdir(folder, { recursive: true });
    // Links to blobs that are gone do not exist either.
    return names.filter((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.isFile()).sort();
  }

  #ref(revision: string): string {
    return join(this.folder, "refs", revision);
  }
}
