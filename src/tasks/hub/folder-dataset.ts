import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ConfigError } from "../../native/errors.js";
import type { DatasetFiles } from "./dataset-files.js";

/** A data set in a local folder, or a single file of one. */
export class FolderDataset implements DatasetFiles {
  private constructor(
    readonly name: string,
    readonly paths: readonly string[],
    private readonly root: string,
  ) {}

  static async open(path: string): Promise<FolderDataset> {
    if ((await stat(path)).isFile()) return new FolderDataset(path, [basename(path)], dirname(path));
    const entries = await readdir(path, { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(join(path, "/").length))
      .filter((name) => !name.split("/").some((step) => step.startsWith(".")));
    if (paths.length === 0) throw new ConfigError(`The folder ${path} holds no data set: it has no files`);
    return new FolderDataset(path, paths.sort(), path);
  }

  async fetch(paths: readonly string[]): Promise<string[]> {
    return paths.map((path) => join(this.root, path));
  }
}
