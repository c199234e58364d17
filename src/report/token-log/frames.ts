import { crc32, deflateRawSync, inflateRawSync } from "node:zlib";
import { FileError } from "../../native/errors.js";

/** What a frame holds. */
export enum FrameType {
  /** Records of groups and episodes. */
  Block = 1,
  /** Ends a step: its index. */
  Step = 2,
}

/** A frame's place in its file, header included. */
export interface FramePlace {
  offset: number;
  length: number;
}

export const FORMAT_VERSION = 2;
export const FILE_HEADER_BYTES = 16;
export const FRAME_HEADER_BYTES = 16;
export const STEP_TRAILER_BYTES = 24;

const MAGIC = Buffer.from("ajettoks");
const STORED = 0;
const DEFLATED = 1;
/** Marks a frame's header, so that a scan does not take any bytes for one. */
const FRAME_MARK = 0xa7e7;
const TRAILER_MARK = 0x50455453; // "STEP"
/** Smaller payloads do not repay the call. */
const LEAST_DEFLATED = 64;
/** No payload is larger: a damaged or hostile file must not fill the memory. */
const MOST_BYTES = 2 ** 30;

/** First bytes of a segment: magic, version, their checksum. */
export function fileHeader(version = FORMAT_VERSION): Buffer {
  const header = Buffer.alloc(FILE_HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(version, 8);
  header.writeUInt32LE(crc32(header.subarray(0, 12)), 12);
  return header;
}

/** @throws FileError where the bytes begin no segment of this version. */
export function checkFileHeader(header: Buffer, file: string): void {
  const isWhole = header.length >= FILE_HEADER_BYTES && crc32(header.subarray(0, 12)) === header.readUInt32LE(12);
  if (!isWhole || !header.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new FileError(`${file} is no token log: expected it to begin with ${JSON.stringify(String(MAGIC))}`);
  }
  const version = header.readUInt32LE(8);
  if (version !== FORMAT_VERSION) {
    throw new FileError(
      `${file} is a token log of format ${version}, and this version of ajet reads format ${FORMAT_VERSION}: ` +
        "read it with the version of ajet that wrote it",
    );
  }
}

/** A frame: type, codec, mark, stored and original length, checksum; then the payload. */
export function encodeFrame(type: FrameType, payload: Buffer): Buffer {
  const deflated = payload.length < LEAST_DEFLATED ? payload : deflateRawSync(payload, { level: 1 });
  const isSmaller = deflated.length < payload.length;
  const stored = isSmaller ? deflated : payload;
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + stored.length);
  frame.writeUInt8(type, 0);
  frame.writeUInt8(isSmaller ? DEFLATED : STORED, 1);
  frame.writeUInt16LE(FRAME_MARK, 2);
  frame.writeUInt32LE(stored.length, 4);
  frame.writeUInt32LE(payload.length, 8);
  stored.copy(frame, FRAME_HEADER_BYTES);
  frame.writeUInt32LE(checksum(frame), 12);
  return frame;
}

function checksum(frame: Buffer): number {
  return crc32(frame.subarray(FRAME_HEADER_BYTES), crc32(frame.subarray(0, 12)));
}

/** Type and length of the frame that these bytes begin; undefined where they begin none. */
export function readFrameHeader(header: Buffer): { type: FrameType; length: number } | undefined {
  if (header.length < FRAME_HEADER_BYTES || header.readUInt16LE(2) !== FRAME_MARK) return undefined;
  const type = header.readUInt8(0);
  if (FrameType[type] === undefined || header.readUInt8(1) > DEFLATED) return undefined;
  return { type, length: FRAME_HEADER_BYTES + header.readUInt32LE(4) };
}

/** The payload of a whole frame; undefined where it is another type's, or damaged. */
export function decodeFrame(type: FrameType, frame: Buffer): Buffer | undefined {
  const header = readFrameHeader(frame);
  if (header?.type !== type || header.length !== frame.length) return undefined;
  if (checksum(frame) !== frame.readUInt32LE(12)) return undefined;
  const stored = frame.subarray(FRAME_HEADER_BYTES);
  if (frame.readUInt8(1) === STORED) return stored;
  const length = frame.readUInt32LE(8);
  if (length > MOST_BYTES) return undefined;
  try {
    const payload = inflateRawSync(stored, { maxOutputLength: Math.max(length, 1) });
    return payload.length === length ? payload : undefined;
  } catch {
    return undefined;
  }
}

/** What stands behind a step: from it, a reader finds the step's index and the step before. */
export interface StepTrailer {
  /** Of the step's index, which ends where the trailer begins. */
  indexBytes: number;
  /** Of the whole step, trailer included. */
  stepBytes: number;
  /** The index's checksum: tells two writings of a step apart. */
  checksum: number;
  /** In the step: who only counts them reads no index. */
  episodes: number;
}

/** @param bytesBefore Of the step, before its index. */
export function encodeTrailer(indexFrame: Buffer, bytesBefore: number, episodes: number): Buffer {
  const trailer = Buffer.alloc(STEP_TRAILER_BYTES);
  trailer.writeUInt32LE(TRAILER_MARK, 0);
  trailer.writeUInt32LE(indexFrame.length, 4);
  trailer.writeUInt32LE(bytesBefore + indexFrame.length + STEP_TRAILER_BYTES, 8);
  trailer.writeUInt32LE(indexFrame.readUInt32LE(12), 12);
  trailer.writeUInt32LE(episodes, 16);
  trailer.writeUInt32LE(crc32(trailer.subarray(0, 20)), 20);
  return trailer;
}

/** Undefined where these bytes are no trailer. */
export function decodeTrailer(bytes: Buffer): StepTrailer | undefined {
  if (bytes.length !== STEP_TRAILER_BYTES || bytes.readUInt32LE(0) !== TRAILER_MARK) return undefined;
  if (crc32(bytes.subarray(0, 20)) !== bytes.readUInt32LE(20)) return undefined;
  const trailer = {
    indexBytes: bytes.readUInt32LE(4),
    stepBytes: bytes.readUInt32LE(8),
    checksum: bytes.readUInt32LE(12),
    episodes: bytes.readUInt32LE(16),
  };
  const { indexBytes, stepBytes } = trailer;
  return indexBytes >= FRAME_HEADER_BYTES && stepBytes >= indexBytes + STEP_TRAILER_BYTES ? trailer : undefined;
}
