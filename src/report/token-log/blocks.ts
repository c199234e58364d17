import { encodeFrame, type FramePlace, FrameType } from "./frames.js";

/** Where a record is: in which of the step's blocks, and at which byte of its payload. */
export interface RecordPlace {
  block: number;
  offset: number;
}

/** Payloads of so many bytes are deflated together: one by one, small ones cost more time and space. */
const BLOCK_BYTES = 64 * 2 ** 10;

/** Packs a step's records into frames. A record is never cut. */
export class BlockBuilder {
  readonly frames: Buffer[] = [];
  /** Of the frames, from the step's first byte. */
  readonly places: FramePlace[] = [];
  bytes = 0;
  #records: Buffer[] = [];
  #pending = 0;

  add(record: Buffer): RecordPlace {
    const place = { block: this.frames.length, offset: this.#pending };
    this.#records.push(record);
    this.#pending += record.length;
    if (this.#pending >= BLOCK_BYTES) this.finish();
    return place;
  }

  /** Ends the block that is open. */
  finish(): void {
    if (this.#records.length === 0) return;
    const frame = encodeFrame(FrameType.Block, Buffer.concat(this.#records));
    this.places.push({ offset: this.bytes, length: frame.length });
    this.frames.push(frame);
    this.bytes += frame.length;
    this.#records = [];
    this.#pending = 0;
  }
}
