import { readSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import {
  decodeFrame,
  decodeTrailer,
  FILE_HEADER_BYTES,
  FRAME_HEADER_BYTES,
  FrameType,
  readFrameHeader,
  STEP_TRAILER_BYTES,
  type StepTrailer,
} from "./frames.js";
import { checkIndex } from "./index-check.js";
import { RecordParts } from "./record.js";
import type { IndexColumns } from "./step-index.js";

/** A step as it stands in a segment. */
export interface FoundStep {
  start: number;
  bytes: number;
  checksum: number;
  index: IndexColumns;
}

/** Reads `length` bytes at `offset`; fewer where the file ends. */
export async function readBytes(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

/** The trailer that ends at `end`, if one does. */
export async function trailerBefore(file: FileHandle, end: number): Promise<StepTrailer | undefined> {
  if (end < FILE_HEADER_BYTES + STEP_TRAILER_BYTES) return undefined;
  const trailer = decodeTrailer(await readBytes(file, end - STEP_TRAILER_BYTES, STEP_TRAILER_BYTES));
  return trailer && trailer.stepBytes <= end - FILE_HEADER_BYTES ? trailer : undefined;
}

/** Enough for the index and the trailer of most steps. */
const TAIL_BYTES = 16 * 2 ** 10;

/** Nothing of it outlives a call of {@link stepBefore}. */
const TAIL = Buffer.alloc(TAIL_BYTES);

/**
 * The step that ends at `end`, found from its trailer; undefined where it is damaged or not whole.
 *
 * Waits for the disk: a large log has thousands of steps, and of what a promise costs, a small read costs a tenth.
 */
export function stepBefore({ fd }: FileHandle, end: number): FoundStep | undefined {
  const tailStart = Math.max(end - TAIL_BYTES, 0);
  const tail = readBytesNow(fd, TAIL.subarray(0, end - tailStart), tailStart);
  const trailer = decodeTrailer(tail.subarray(-STEP_TRAILER_BYTES));
  if (trailer === undefined || trailer.stepBytes > end - FILE_HEADER_BYTES) return undefined;
  const { indexBytes, stepBytes, checksum } = trailer;
  const indexStart = end - STEP_TRAILER_BYTES - indexBytes;
  const frame =
    indexStart >= tailStart
      ? tail.subarray(indexStart - tailStart, -STEP_TRAILER_BYTES)
      : readBytesNow(fd, Buffer.alloc(indexBytes), indexStart);
  const payload = decodeFrame(FrameType.Step, frame);
  if (payload === undefined || frame.readUInt32LE(12) !== checksum) return undefined;
  try {
    const index = checkIndex(new RecordParts(payload).json, trailer);
    return { start: end - stepBytes, bytes: stepBytes, checksum, index };
  } catch {
    return undefined;
  }
}

const TRAILER = Buffer.alloc(STEP_TRAILER_BYTES);

/**
 * The episodes of the steps before `end`, by their trailers alone; undefined where these do not lead back to the segment's
 * beginning. Waits for the disk, as {@link stepBefore} does.
 */
export function countEpisodes({ fd }: FileHandle, end: number): number | undefined {
  let episodes = 0;
  for (let start = end; start !== FILE_HEADER_BYTES; ) {
    if (start < FILE_HEADER_BYTES + STEP_TRAILER_BYTES) return undefined;
    const trailer = decodeTrailer(readBytesNow(fd, TRAILER, start - STEP_TRAILER_BYTES));
    if (trailer === undefined) return undefined;
    episodes += trailer.episodes;
    start -= trailer.stepBytes;
  }
  return episodes;
}

/** Fills `bytes` from `offset` on; fewer where the file ends. */
function readBytesNow(fd: number, bytes: Buffer, offset: number): Buffer {
  let done = 0;
  while (done < bytes.length) {
    const read = readSync(fd, bytes, done, bytes.length - done, offset + done);
    if (read === 0) break;
    done += read;
  }
  return bytes.subarray(0, done);
}

/**
 * Goes from frame to frame, from the end of a step on.
 * @returns The end of each whole step up to `end`, and where there was no whole one any more.
 */
export async function scanSteps(
  file: FileHandle,
  from: number,
  end: number,
): Promise<{ ends: number[]; stoppedAt: number }> {
  const ends: number[] = [];
  let stepStart = from;
  for (let offset = from; ; ) {
    const header = readFrameHeader(await readBytes(file, offset, FRAME_HEADER_BYTES));
    if (header === undefined || offset + header.length > end) break;
    offset += header.length;
    if (header.type !== FrameType.Step) continue;
    offset += STEP_TRAILER_BYTES;
    const trailer = offset <= end ? await trailerBefore(file, offset) : undefined;
    if (trailer?.stepBytes !== offset - stepStart) break;
    ends.push(offset);
    stepStart = offset;
  }
  return { ends, stoppedAt: stepStart };
}
