import type { FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import { FileError } from "../../native/errors.js";
import { fileError } from "../../native/file-error.js";
import { checkFileHeader, decodeFrame, FILE_HEADER_BYTES, type FramePlace, type FrameType } from "./frames.js";
import type { SegmentFile } from "./segment-files.js";
import { countEpisodes, type FoundStep, readBytes, scanSteps, stepBefore, trailerBefore } from "./segment-scan.js";
import { decodeIndex, StepIndex } from "./step-index.js";
import { TokenVocabulary } from "./vocabulary.js";

interface Found {
  steps: FoundStep[];
  /** Where the last whole step ends. */
  end: number;
  /** What was lost before it. */
  damage: string[];
}

/** A file of the log, read: its steps are found when they are first wanted, and again when it has changed. */
export class Segment {
  readonly firstStep: number;
  readonly vocabulary = new TokenVocabulary();
  /** Ascending. */
  steps: readonly StepIndex[] = [];
  /** What of it was left out, and why. */
  notes: readonly string[] = [];
  /** Where the last whole step ends; 0: nothing was read yet. */
  #end = 0;
  #inode = -1;
  #size = 0;
  #damage: readonly string[] = [];
  #changed = Promise.resolve(false);
  /** Where its steps were not read. */
  #counted: number | undefined;

  constructor(readonly file: SegmentFile) {
    this.firstStep = file.firstStep;
  }

  get #name(): string {
    return basename(this.file.path);
  }

  get isLoaded(): boolean {
    return this.#end > 0;
  }

  /** Reads what is new. True where steps came or went. One call at a time works; the next waits. */
  update(): Promise<boolean> {
    const update = async () => {
      try {
        return await this.#use((file) => this.#update(file));
      } catch (error) {
        const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
        if (code === "ENOENT") return this.#forget(); // old segments make room for new ones
        throw error;
      }
    };
    const updated = this.#changed.catch(() => false).then(update);
    this.#changed = updated;
    return updated;
  }

  /** Finds the steps, if that has not been done. */
  async load(): Promise<void> {
    if (!this.isLoaded) await this.update();
  }

  /**
   * How many episodes it has: as long as its steps were not read, by what stands between them, so that a damaged step counts
   * until then.
   */
  async count(): Promise<number> {
    if (!this.isLoaded) {
      const count = async (file: FileHandle) => countEpisodes(file, (await file.stat()).size);
      this.#counted ??= await this.#use(count).catch(() => undefined);
      if (this.#counted !== undefined) return this.#counted;
      await this.load(); // says what is wrong with it
    }
    return this.steps.reduce((sum, { episodes }) => sum + episodes, 0);
  }

  /** What was counted may have changed. */
  forgetCount(): void {
    this.#counted = undefined;
  }

  /** A frame's payload. @throws FileError where it is damaged or gone. */
  async payload(type: FrameType, { offset, length }: FramePlace): Promise<Buffer> {
    const frame = await this.#use((file) => readBytes(file, offset, length));
    const payload = decodeFrame(type, frame);
    if (payload === undefined) {
      throw new FileError(`${this.file.path} is damaged: the ${length} bytes at ${offset} are not what was written`);
    }
    return payload;
  }

  async #update(file: FileHandle): Promise<boolean> {
    const { size, ino } = await file.stat();
    if (size < FILE_HEADER_BYTES) return this.#forget(); // its first step is on its way
    const isSame = ino === this.#inode && (await this.#endsAsBefore(file, size));
    if (isSame && size === this.#size) return false;
    if (!isSame) checkFileHeader(await readBytes(file, 0, FILE_HEADER_BYTES), this.file.path);
    const found = isSame ? await this.#scan(file, this.#end, size) : await this.#findAll(file, size);
    const known = new Map(this.steps.map((step) => [step.start, step]));
    const steps = found.steps.map((step) => this.#take(step, known.get(step.start)));
    const changed = steps.length > 0 || (!isSame && this.steps.length > 0);
    this.steps = isSame ? [...this.steps, ...steps] : steps;
    this.#damage = [...(isSame ? this.#damage : []), ...found.damage];
    this.notes = [...this.#damage, ...(found.end < size ? [this.#torn(size - found.end)] : [])];
    this.#end = found.end;
    this.#size = size;
    this.#inode = ino;
    return changed;
  }

  /** False where the file was cut back and written anew. */
  async #endsAsBefore(file: FileHandle, size: number): Promise<boolean> {
    const last = this.steps.at(-1);
    if (size < this.#end || this.#end === 0) return false;
    return last === undefined || (await trailerBefore(file, this.#end))?.checksum === last.checksum;
  }

  /** From the end back to the beginning; where a step is damaged, what stands before it from the beginning on. */
  async #findAll(file: FileHandle, size: number): Promise<Found> {
    const steps: FoundStep[] = [];
    let start = size;
    while (start > FILE_HEADER_BYTES) {
      const step = stepBefore(file, start);
      if (step === undefined) break;
      steps.push(step);
      start = step.start;
    }
    if (start === FILE_HEADER_BYTES) return { steps: steps.reverse(), end: size, damage: [] };
    const head = await this.#scan(file, FILE_HEADER_BYTES, start);
    if (steps.length === 0) return head;
    const lost = start - head.end;
    const damage = lost > 0 ? [`${this.#name}: ${lost} damaged bytes at ${head.end} were left out`] : [];
    return { steps: [...head.steps, ...steps.reverse()], end: size, damage: [...head.damage, ...damage] };
  }

  /** Whole steps from the end of one on; a step that is being written, or was torn, is left out. */
  async #scan(file: FileHandle, from: number, size: number): Promise<Found> {
    const { ends, stoppedAt } = await scanSteps(file, from, size);
    const steps: FoundStep[] = [];
    for (const end of ends) {
      const step = stepBefore(file, end);
      if (step !== undefined) steps.push(step);
    }
    const lost = ends.length - steps.length;
    const damage = lost > 0 ? [`${this.#name}: ${lost} damaged step${lost > 1 ? "s were" : " was"} left out`] : [];
    return { steps, end: stoppedAt, damage };
  }

  #torn(bytes: number): string {
    return `${this.#name}: the last ${bytes} bytes are no whole step (yet) and were left out`;
  }

  /** A step that is the same as before stays the same object, so that followers tell new ones. */
  #take({ start, bytes, checksum, index }: FoundStep, known: StepIndex | undefined): StepIndex {
    const columns = decodeIndex(index, this.vocabulary);
    return known?.checksum === checksum ? known : new StepIndex(columns, start, bytes, checksum);
  }

  #forget(): boolean {
    const had = this.steps.length > 0;
    this.steps = [];
    this.notes = [];
    this.#end = 0;
    return had;
  }

  async #use<T>(read: (file: FileHandle) => Promise<T>): Promise<T> {
    let file: FileHandle | undefined;
    try {
      file = await this.file.open();
      return await read(file);
    } catch (error) {
      if (error instanceof FileError) throw error;
      throw fileError(`Cannot read ${this.file.path}`, error);
    } finally {
      await file?.close();
    }
  }
}
