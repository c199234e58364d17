import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { digestOf } from "./fetch-file.js";
import type { HubFile } from "./hub-api.js";
import type { HubStore } from "./hub-store.js";

/** A data set as plain files in a folder of the user's. */
export class HubFolder implements HubStore {
  constructor(readonly folder: string) {}

  /** A file of that name may be anything here: it is read. */
  async has(file: HubFile): Promise<boolean> {
    const target = this.target(file);
    if (!existsSync(target) || (await stat(target)).size !== file.size) return false;
    return (await digestOf(target, file.isLfs, file.size)) === file.etag;
  }

  target(file: HubFile): string {
    return join(this.folder, file.path);
  }

  partial(file: HubFile): string {
    return this.#unfinished(`${file.etag}.ajet.incomplete`);
  }

  lock(file: HubFile): string {
    return this.#unfinished(`${file.etag}.ajet.lock`);
  }

  async place(_commit: string, file: HubFile): Promise<string> {
    return this.target(file);
  }

  async writeRef(): Promise<void> {}

  #unfinished(name: string): string {
    return join(this.folder, ".cache/huggingface/download", name);
  }
}
