import type { FetchProgress, OnProgress } from "./dataset-files.js";
import type { HubFile } from "./hub-api.js";

const AT_ONCE = 4;

/** Fetches files of one data set, a few at a time, and adds up how far they are. */
export class Download {
  readonly #received = new Map<HubFile, number>();
  readonly #total: number;

  constructor(
    private readonly dataset: string,
    private readonly files: readonly HubFile[],
    private readonly onProgress: OnProgress | undefined,
  ) {
    this.#total = files.reduce((sum, file) => sum + file.size, 0);
  }

  /** Fetches each file. The first failure ends it, when the files on their way have ended too. */
  async each(fetchOne: (file: HubFile, onBytes: (received: number) => void) => Promise<void>): Promise<void> {
    let next = 0;
    let hasFailed = false;
    const lane = async () => {
      for (let file = this.files[next++]; file !== undefined && !hasFailed; file = this.files[next++]) {
        const current = file;
        try {
          await fetchOne(current, (received) => this.#report(current, received));
        } catch (error) {
          hasFailed = true;
          throw error;
        }
        this.#report(current, current.size);
      }
    };
    const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, lane));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }

  #report(file: HubFile, received: number): void {
    if (this.#received.get(file) === received) return;
    this.#received.set(file, received);
    const sum = [...this.#received.values()].reduce((total, bytes) => total + bytes, 0);
    const progress: FetchProgress = {
      dataset: this.dataset,
      files: this.files.length,
      received: sum,
      total: this.#total,
    };
    this.onProgress?.(progress);
  }
}
