import { existsSync } from "node:fs";
import { ConfigError, NetworkError } from "../../native/errors.js";
import type { DatasetFiles, OnProgress } from "./dataset-files.js";
import { Download } from "./download.js";
import { fetchFile } from "./fetch-file.js";
import { withFileLock } from "./file-lock.js";
import { HubApi, type HubFile, type Patience } from "./hub-api.js";
import { HubCache } from "./hub-cache.js";
import { HubFolder } from "./hub-folder.js";
import { type HubSettings, hubSettings } from "./hub-settings.js";
import type { HubStore } from "./hub-store.js";

/** How a data set of the hub is opened. */
export interface HubOptions {
  /** Branch, tag or commit. */
  revision?: string;
  settings?: HubSettings;
  patience?: Patience;
  /** Plain files go here, instead of to the cache. */
  folder?: string;
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

/** A data set of the hub, in the cache that Python's tools share; files are fetched when they are asked for. */
export class HubDataset implements DatasetFiles {
  private constructor(
    readonly name: string,
    readonly commit: string,
    private readonly files: ReadonlyMap<string, HubFile>,
    private readonly store: HubStore,
    private readonly api: HubApi,
    private readonly options: HubOptions,
  ) {}

  /**
   * Lists the files of a revision. Without the network, and with `HF_HUB_OFFLINE`, of what the cache has of it.
   * @throws ConfigError where there is no such data set, or it may not be read.
   */
  static async open(repo: string, options: HubOptions = {}): Promise<DatasetFiles> {
    const settings = options.settings ?? hubSettings();
    const { revision = "main" } = options;
    const cache = new HubCache(settings.cacheFolder, repo);
    const api = new HubApi(settings, options.patience);
    if (settings.offline && options.folder !== undefined) {
      throw new ConfigError(`HF_HUB_OFFLINE is set: ${repo} cannot be fetched to ${options.folder}`);
    }
    if (settings.offline) return openCached(repo, revision, cache, "HF_HUB_OFFLINE is set");
    const store = options.folder === undefined ? cache : new HubFolder(options.folder);
    try {
      const commit = await api.commit(repo, revision);
      const files = await api.files(repo, commit);
      await store.writeRef(revision, commit);
      return new HubDataset(repo, commit, new Map(files.map((file) => [file.path, file])), store, api, options);
    } catch (error) {
      if (!(error instanceof NetworkError) || store !== cache || (await cache.commitOf(revision)) === undefined)
        throw error;
      return openCached(repo, revision, cache, error.message);
    }
  }

  get paths(): readonly string[] {
    return [...this.files.keys()];
  }

  async fetch(paths: readonly string[]): Promise<string[]> {
    const { store } = this;
    const wanted = paths.map((path) => this.files.get(path) as HubFile);
    const missing: HubFile[] = [];
    for (const file of wanted) if (!(await store.has(file))) missing.push(file);
    const download = new Download(this.name, missing, this.options.onProgress);
    await download.each((file, onBytes) => this.#fetchOne(file, onBytes));
    return Promise.all(wanted.map((file) => store.place(this.commit, file)));
  }

  #fetchOne(file: HubFile, onBytes: (received: number) => void): Promise<void> {
    const { api, store, commit, name: repo } = this;
    const { signal } = this.options;
    return withFileLock(store.lock(file), async () => {
      if (await store.has(file)) return; // another process was first
      const [target, partial] = [store.target(file), store.partial(file)];
      await fetchFile(api, { repo, commit, file, target, partial, onBytes, ...(signal ? { signal } : {}) });
    });
  }
}

async function openCached(repo: string, revision: string, cache: HubCache, why: string): Promise<DatasetFiles> {
  const commit = await cache.commitOf(revision);
  if (commit === undefined || !existsSync(cache.snapshot(commit))) {
    throw new ConfigError(`The data set ${repo} (${revision}) is not in the cache ${cache.folder}, and ${why}`);
  }
  const fetch = async (paths: readonly string[]) => paths.map((path) => cache.snapshot(commit, path));
  return { name: repo, paths: await cache.paths(commit), fetch };
}
