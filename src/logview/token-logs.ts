import { FileError } from "../native/errors.js";
import { TokenLogReader } from "../report/token-log/reader.js";
import type { LogFolder } from "../report/token-log/segment-files.js";
import type { TokenLogReading } from "../report/token-log/types.js";
import type { ConfinedFolder, RelativePath } from "./confined-folder.js";
import type { FoundRun } from "./run-catalog.js";

/** Logs that are kept open. */
const MOST_OPEN = 4;
/** Requests in so short a time look at the same state of a log. */
const FRESH_MS = 500;

interface OpenLog {
  reader: TokenLogReading;
  users: number;
  lastUse: number;
  refreshed: number;
  refreshing: Promise<unknown> | undefined;
}

/** The token logs of the runs, opened when they are asked for and closed when others were asked for since. */
export class TokenLogs implements AsyncDisposable {
  readonly #open = new Map<string, Promise<OpenLog>>();

  constructor(private readonly folder: ConfinedFolder) {}

  /**
   * Lends a run's log.
   * @throws FileError where the run has none, or one that cannot be read.
   */
  async use<T>(run: FoundRun, read: (log: TokenLogReading) => Promise<T>): Promise<T> {
    const log = await this.#get(run);
    log.users++;
    log.lastUse = performance.now();
    try {
      await refresh(log);
      return await read(log.reader);
    } finally {
      log.users--;
      await this.#closeOthers(run.id);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const log of open) await log.then(({ reader }) => reader[Symbol.asyncDispose]()).catch(() => {});
  }

  #get(run: FoundRun): Promise<OpenLog> {
    const known = this.#open.get(run.id);
    if (known) return known;
    const opened = this.#openLog(run);
    this.#open.set(run.id, opened);
    // Asked again, it is tried again: the run may have written one by then.
    opened.catch(() => this.#open.delete(run.id));
    return opened;
  }

  async #openLog(run: FoundRun): Promise<OpenLog> {
    const reader = await TokenLogReader.open(logFolderIn(this.folder, [...run.path, "tokens"], run.id));
    return { reader, users: 0, lastUse: 0, refreshed: performance.now(), refreshing: undefined };
  }

  async #closeOthers(id: string): Promise<void> {
    while (this.#open.size > MOST_OPEN) {
      const logs = await Promise.all(
        [...this.#open].map(async ([key, log]) => ({ key, log: await log.catch(() => undefined) })),
      );
      const idle = logs.filter(({ key, log }) => key !== id && log !== undefined && log.users === 0);
      const oldest = idle.sort((a, b) => (a.log?.lastUse ?? 0) - (b.log?.lastUse ?? 0))[0];
      if (oldest?.log === undefined || !this.#open.delete(oldest.key)) return;
      await oldest.log.reader[Symbol.asyncDispose]();
    }
  }
}

/** A log whose every file is opened by the confined folder. */
function logFolderIn(folder: ConfinedFolder, path: RelativePath, run: string): LogFolder {
  return {
    path: folder.pathOf(path),
    list: async () => {
      const entries = folder.list(path);
      if (entries === undefined) throw new FileError(`${run} has no token log that may be read`);
      return entries;
    },
    open: (name) => folder.open([...path, name]),
  };
}

/** Several requests at once share one look. */
async function refresh(log: OpenLog): Promise<void> {
  if (log.refreshing === undefined) {
    if (performance.now() - log.refreshed < FRESH_MS) return;
    log.refreshing = log.reader.refresh().finally(() => {
      log.refreshing = undefined;
      log.refreshed = performance.now();
    });
  }
  await log.refreshing;
}
