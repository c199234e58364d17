import { appendFileSync, closeSync, existsSync, ftruncateSync, openSync, readFileSync } from "node:fs";
import { FileError } from "../native/errors.js";

/** An append-only file of one JSON object a line, each with a `step`. */
export class JsonlLog {
  readonly #file: string;
  readonly #descriptor: number;

  /**
   * Opens the file and cuts it back to the lines with `step` at most `lastStep` (a resumed run repeats what came after
   * its checkpoint; a line torn by a crash goes too).
   */
  constructor(file: string, lastStep: number) {
    this.#file = file;
    try {
      const keep = existsSync(file) ? bytesUpTo(readFileSync(file, "utf8"), lastStep) : 0;
      this.#descriptor = openSync(file, "a");
      ftruncateSync(this.#descriptor, keep);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  append(record: { step: number } & Record<string, unknown>): void {
    try {
      appendFileSync(this.#descriptor, `${JSON.stringify(record)}\n`);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #failure(error: unknown): FileError {
    return new FileError(`Cannot write ${this.#file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      cause: error,
    });
  }
}

function bytesUpTo(text: string, lastStep: number): number {
  let bytes = 0;
  for (const line of text.split(/(?<=\n)/)) {
    if (!line.endsWith("\n")) break;
    let step: unknown;
    try {
      step = (JSON.parse(line) as { step?: unknown }).step;
    } catch {
      break;
    }
    if (typeof step !== "number" || step > lastStep) break;
    bytes += Buffer.byteLength(line);
  }
  return bytes;
}
