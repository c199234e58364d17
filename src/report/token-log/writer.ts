import {
  appendFileSync,
  closeSync,
  fdatasync,
  fdatasyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  truncateSync,
} from "node:fs";
import { fileError } from "../../native/file-error.js";
import { BlockBuilder, type RecordPlace } from "./blocks.js";
import { encodeFrame, encodeTrailer, FrameType, fileHeader } from "./frames.js";
import { encodeGroup } from "./group-encoding.js";
import { packRecord } from "./record.js";
import { Segment } from "./segment.js";
import { listSegments, logFolderAt, segmentPath } from "./segment-files.js";
import { encodeIndex } from "./step-index.js";
import { TokenIdSet } from "./token-id-set.js";
import type { EpisodeHeader, TokenTreeNode } from "./types.js";
import type { GroupToWrite } from "./written.js";

/** How a log is written. */
export interface TokenLogOptions {
  /** Steps after it are removed: a resumed run writes them again. */
  lastStep: number;
  /** The bytes that a token adds to the text. */
  tokenBytes: (id: number) => Uint8Array;
  /** Older steps make room, a segment at a time; at least so many stay. 0: all stay. */
  keepSteps?: number;
  /** The oldest segments make room when the log is larger. 0: no limit. */
  maxBytes?: number;
}

interface SegmentState {
  path: string;
  firstStep: number;
  lastStep: number;
  bytes: number;
}

const SEGMENT_BYTES = 64 * 2 ** 20;
/** A limit on steps or bytes is kept to within one part in so many. */
const SEGMENTS_IN_LIMIT = 8;

/** Writes a token log, step by step. A crash loses at most the step that is being written. */
export class TokenLogWriter {
  readonly #segmentBytes: number;
  readonly #segmentSteps: number;
  /** Tokens of the open segment. */
  #known = new TokenIdSet();
  #descriptor: number | undefined;
  #isSyncing = false;

  private constructor(
    private readonly folder: string,
    private readonly options: TokenLogOptions,
    /** Oldest first. */
    private readonly segments: SegmentState[],
  ) {
    const { keepSteps = 0, maxBytes = 0 } = options;
    this.#segmentBytes = maxBytes > 0 ? Math.min(SEGMENT_BYTES, maxBytes / SEGMENTS_IN_LIMIT) : SEGMENT_BYTES;
    this.#segmentSteps = keepSteps > 0 ? Math.ceil(keepSteps / SEGMENTS_IN_LIMIT) : Number.POSITIVE_INFINITY;
  }

  /** @throws FileError where the folder cannot be written, or its log is of another format. */
  static async open(folder: string, options: TokenLogOptions): Promise<TokenLogWriter> {
    try {
      mkdirSync(folder, { recursive: true });
      return new TokenLogWriter(folder, options, await cutBack(folder, options.lastStep));
    } catch (error) {
      throw fileError(`Cannot write the token log ${folder}`, error);
    }
  }

  /** Writes a step, whole or not at all. @throws FileError */
  append(step: number, groups: readonly GroupToWrite[]): void {
    try {
      const segment = this.#segmentFor(step);
      const bytes = this.#encode(step, groups);
      this.#write(segment, bytes);
      segment.lastStep = step;
      this.#sync();
      this.#makeRoom(step);
    } catch (error) {
      this.#closeSegment(); // its tokens are noted, but were not written
      throw fileError(`Cannot write the token log ${this.folder}`, error);
    }
  }

  close(): void {
    if (this.#descriptor === undefined) return;
    fdatasyncSync(this.#descriptor);
    this.#closeSegment();
  }

  #encode(step: number, groups: readonly GroupToWrite[]): Buffer {
    const blocks = new BlockBuilder();
    const groupPlaces: { taskId: string; place: RecordPlace }[] = [];
    const episodes: { header: EpisodeHeader; place: RecordPlace }[] = [];
    const newIds: number[] = [];
    for (const [i, group] of groups.entries()) {
      const encoded = encodeGroup(group, step, i, episodes.length);
      groupPlaces.push({ taskId: group.taskId, place: blocks.add(encoded.record) });
      for (const { record, header } of encoded.episodes) episodes.push({ header, place: blocks.add(record) });
      this.#addNewIds(encoded.nodes, newIds);
    }
    blocks.finish();
    const newTokens = newIds.map((id) => ({ id, bytes: this.options.tokenBytes(id) }));
    const json = encodeIndex(step, blocks.places, groupPlaces, episodes, newTokens);
    const index = encodeFrame(FrameType.Step, packRecord(json, []));
    return Buffer.concat([...blocks.frames, index, encodeTrailer(index, blocks.bytes, episodes.length)]);
  }

  #addNewIds(nodes: readonly TokenTreeNode[], newIds: number[]): void {
    for (const { ids } of nodes) for (const id of ids) if (this.#known.add(id)) newIds.push(id);
  }

  /** The segment that is open, or a new one. */
  #segmentFor(step: number): SegmentState {
    const last = this.segments.at(-1);
    const isFull =
      last !== undefined && (last.bytes >= this.#segmentBytes || step - last.firstStep >= this.#segmentSteps);
    if (last !== undefined && this.#descriptor !== undefined && !isFull) return last;
    this.close();
    const segment = { path: segmentPath(this.folder, step), firstStep: step, lastStep: step, bytes: 0 };
    this.#descriptor = openSync(segment.path, "a");
    this.segments.push(segment);
    this.#known = new TokenIdSet();
    return segment;
  }

  #write(segment: SegmentState, step: Buffer): void {
    const descriptor = this.#descriptor as number;
    const bytes = segment.bytes === 0 ? Buffer.concat([fileHeader(), step]) : step;
    try {
      appendFileSync(descriptor, bytes);
      segment.bytes += bytes.length;
    } catch (error) {
      ftruncateSync(descriptor, segment.bytes);
      throw error;
    }
  }

  /** Without waiting: a power cut may cost the last steps, a crash of the process none. */
  #sync(): void {
    if (this.#isSyncing || this.#descriptor === undefined) return;
    this.#isSyncing = true;
    fdatasync(this.#descriptor, () => {
      this.#isSyncing = false;
    });
  }

  #makeRoom(step: number): void {
    const { keepSteps = 0, maxBytes = 0 } = this.options;
    const isOld = ({ lastStep }: SegmentState) => keepSteps > 0 && lastStep <= step - keepSteps;
    let total = this.segments.reduce((sum, { bytes }) => sum + bytes, 0);
    while (this.segments.length > 1) {
      const oldest = this.segments[0] as SegmentState;
      if (!isOld(oldest) && !(maxBytes > 0 && total > maxBytes)) return;
      rmSync(oldest.path, { force: true });
      total -= oldest.bytes;
      this.segments.shift();
    }
  }

  #closeSegment(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

/** Removes what stands behind `lastStep`, a torn end too. What is left is not written to any more. */
async function cutBack(folder: string, lastStep: number): Promise<SegmentState[]> {
  const kept: SegmentState[] = [];
  for (const file of await listSegments(logFolderAt(folder))) {
    const segment = new Segment(file);
    if (file.firstStep <= lastStep) await segment.update();
    const last = segment.steps.filter(({ step }) => step <= lastStep).at(-1);
    if (last === undefined) {
      rmSync(file.path);
      continue;
    }
    const bytes = last.start + last.bytes;
    truncateSync(file.path, bytes);
    kept.push({ path: file.path, firstStep: file.firstStep, lastStep: last.step, bytes });
  }
  return kept;
}
