import { ProgressBar } from "../report/progress-bar.js";
import type { FetchProgress } from "../tasks/hub/dataset-files.js";
import type { Output } from "./output.js";

/** Shows how far the download of a data set is: a line when it starts, and a bar. */
export class FetchPrinter implements Disposable {
  #bar: ProgressBar | undefined;

  constructor(private readonly output: Output) {}

  onFetch({ dataset, files, received, total }: FetchProgress): void {
    if (this.#bar === undefined) {
      const rest = received > 0 ? `, ${megabytes(received)} of it are here` : "";
      this.output.note(`fetching ${dataset}: ${files} files, ${megabytes(total)}${rest}`);
      this.#bar = new ProgressBar(dataset, total, this.output.interactive);
    }
    this.#bar.update(received, `${megabytes(received)} of ${megabytes(total)}`);
    if (received >= total) this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

/** A size for people. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e6 ? 3 : 1)} MB`;
}
