import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FileError } from "../../native/errors.js";
import type { RecordPlace } from "./blocks.js";
import { FrameType } from "./frames.js";
import { type DecodedGroup, decodeEpisode, decodeGroup } from "./group-decoding.js";
import { answer, type QueryPart, type StepRange, stepRange } from "./query.js";
import { RecordParts } from "./record.js";
import { Segment } from "./segment.js";
import { type LogFolder, listSegments, logFolderAt } from "./segment-files.js";
import type { StepIndex } from "./step-index.js";
import type {
  EpisodeHeader,
  EpisodePage,
  EpisodeQuery,
  FollowOptions,
  LoggedEpisode,
  LoggedStep,
  TokenLogReading,
  TokenTree,
} from "./types.js";

/** Blocks kept in memory: the episodes of a group are read one after the other. */
const KEPT_BLOCKS = 4;
const POLL_MS = 500;

/** A step and the segment that it stands in. */
interface Place {
  segment: Segment;
  step: StepIndex;
}

/** Reads a run's token log (`saved_experiments/<run>/tokens`), also while it is being written. */
export class TokenLogReader implements TokenLogReading {
  #segments: Segment[] = [];
  readonly #blocks = new Map<string, Buffer>();

  private constructor(private readonly files: LogFolder) {}

  /**
   * @param folder A path; or access to a folder, where more than its path decides what may be read.
   * @throws FileError where there is no such folder, or its log is of another format.
   */
  static async open(folder: string | LogFolder): Promise<TokenLogReader> {
    const reader = new TokenLogReader(typeof folder === "string" ? logFolderAt(folder) : folder);
    await reader.refresh();
    if (typeof folder === "string" && reader.#segments.length === 0 && existsSync(join(reader.folder, "tokens"))) {
      throw new FileError(`${reader.folder} has no token log: did you mean ${join(reader.folder, "tokens")}?`);
    }
    return reader;
  }

  get folder(): string {
    return this.files.path;
  }

  get notes(): readonly string[] {
    return this.#segments.flatMap(({ notes }) => notes);
  }

  async refresh(): Promise<boolean> {
    const known = new Map(this.#segments.map((segment) => [segment.file.path, segment]));
    const files = await listSegments(this.files);
    const segments = files.map((file) => known.get(file.path) ?? new Segment(file));
    let changed = segments.length !== known.size || segments.some(({ file }) => !known.has(file.path));
    this.#segments = segments;
    for (const segment of segments) {
      segment.forgetCount();
      // The last one grows; one that no one asked for yet is read when someone does.
      if (segment.isLoaded || segment === segments.at(-1)) changed = (await segment.update()) || changed;
    }
    return changed;
  }

  async steps(): Promise<readonly LoggedStep[]> {
    const places = await this.#places(0, Number.POSITIVE_INFINITY);
    return places.map(({ step: { step, episodes, groups, bytes } }) => ({ step, episodes, groups, bytes }));
  }

  async list(query: EpisodeQuery = {}): Promise<EpisodePage> {
    return answer(this.#parts(stepRange(query)), query);
  }

  async header(key: string): Promise<EpisodeHeader> {
    const { step, index } = await this.#find(key);
    return step.header(index);
  }

  async episode(key: string): Promise<LoggedEpisode> {
    const { segment, step, index } = await this.#find(key);
    const header = step.header(index);
    const group = await this.#group(segment, step, header.group);
    const place = step.episodePlace(index);
    const block = await this.#block(segment, step, place);
    return decoded(segment, () =>
      decodeEpisode(new RecordParts(block, place.offset), header, group, segment.vocabulary),
    );
  }

  async tree(step: number, group: number): Promise<TokenTree> {
    const place = (await this.#places(step, step))[0];
    if (place === undefined) throw new FileError(`The token log ${this.folder} has no step ${step}`);
    const { nodes } = await this.#group(place.segment, place.step, group);
    return { step, group, taskId: place.step.taskId(group), nodes, vocabulary: place.segment.vocabulary };
  }

  async *follow(options: FollowOptions = {}): AsyncGenerator<readonly EpisodeHeader[]> {
    const { signal, afterStep, pollMs = POLL_MS } = options;
    const seen = new WeakSet<StepIndex>();
    const from = afterStep === undefined ? 0 : afterStep + 1;
    if (afterStep === undefined) {
      for (const { step } of await this.#places(0, Number.POSITIVE_INFINITY)) seen.add(step);
    }
    while (!signal?.aborted) {
      for (const { step } of await this.#places(from, Number.POSITIVE_INFINITY)) {
        if (seen.has(step)) continue;
        seen.add(step);
        yield Array.from({ length: step.episodes }, (_, index) => step.header(index));
        if (signal?.aborted) return;
      }
      await sleep(pollMs, undefined, signal ? { signal } : {}).catch(() => {});
      if (!signal?.aborted) await this.refresh();
    }
  }

  /** Nothing is held open; here so that `await using` can end its use. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#segments = [];
    this.#blocks.clear();
  }

  /** The segments that can have a step of a range, oldest first. */
  #parts({ from, to }: StepRange): (QueryPart & { segment: Segment })[] {
    const segments = this.#segments;
    return segments.flatMap((segment, i) => {
      const end = segments[i + 1]?.firstStep ?? Number.POSITIVE_INFINITY;
      if (segment.firstStep > to || end <= from) return [];
      const steps = async () => {
        await segment.load();
        return segment.steps.filter(({ step }) => step >= from && step <= to);
      };
      const isWhole = segment.firstStep >= from && end - 1 <= to;
      const count = async () =>
        isWhole ? segment.count() : (await steps()).reduce((sum, { episodes }) => sum + episodes, 0);
      return [{ segment, steps, count }];
    });
  }

  /** The steps of a range, ascending. */
  async #places(from: number, to: number): Promise<Place[]> {
    const places: Place[] = [];
    for (const { segment, steps } of this.#parts({ from, to })) {
      for (const step of await steps()) places.push({ segment, step });
    }
    return places;
  }

  async #find(key: string): Promise<Place & { index: number }> {
    const [, step, index] = (/^(\d{1,15})\.(\d{1,15})$/.exec(key) ?? []).map(Number);
    if (step === undefined || index === undefined) {
      throw new FileError(`Expected <step>.<index> as an episode's key but received ${JSON.stringify(key)}`);
    }
    const place = (await this.#places(step, step))[0];
    if (place === undefined || index >= place.step.episodes) {
      throw new FileError(`The token log ${this.folder} has no episode ${key}`);
    }
    return { ...place, index };
  }

  async #group(segment: Segment, step: StepIndex, group: number): Promise<DecodedGroup> {
    const place = step.groupPlace(group);
    if (place === undefined) throw new FileError(`Step ${step.step} of ${this.folder} has no group ${group}`);
    const block = await this.#block(segment, step, place);
    return decoded(segment, () => decodeGroup(new RecordParts(block, place.offset)));
  }

  /** The payload of the block in which a record is. */
  async #block(segment: Segment, step: StepIndex, { block }: RecordPlace): Promise<Buffer> {
    const key = `${segment.file.path} ${step.start} ${step.checksum} ${block}`;
    const known = this.#blocks.get(key);
    if (known !== undefined) return known;
    const payload = await segment.payload(
      FrameType.Block,
      decoded(segment, () => step.blockPlace(block)),
    );
    this.#blocks.set(key, payload);
    if (this.#blocks.size > KEPT_BLOCKS) this.#blocks.delete(this.#blocks.keys().next().value as string);
    return payload;
  }
}

/** What has its checksum may still be no record of ours. */
function decoded<T>(segment: Segment, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw new FileError(`${segment.file.path} is damaged: ${(error as Error).message}`, { cause: error });
  }
}
