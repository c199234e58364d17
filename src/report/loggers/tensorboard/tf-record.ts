import { maskedCrc32c } from "./crc32c.js";

const HEADER_BYTES = 12;
const FOOTER_BYTES = 4;

/** A record of a TFRecord file: length (uint64), its CRC, the data, their CRC; little-endian. */
export function frameRecord(data: Uint8Array): Buffer {
  const record = Buffer.alloc(HEADER_BYTES + data.length + FOOTER_BYTES);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8);
  record.set(data, HEADER_BYTES);
  record.writeUInt32LE(maskedCrc32c(data), HEADER_BYTES + data.length);
  return record;
}

/** A whole record of a file. */
export interface FoundRecord {
  data: Buffer;
  /** Where it begins in the file. */
  offset: number;
  /** Where the next one begins. */
  end: number;
}

/** The records of a file, up to the first that is torn or damaged. */
export function* readRecords(file: Buffer): Generator<FoundRecord> {
  let offset = 0;
  while (offset + HEADER_BYTES + FOOTER_BYTES <= file.length) {
    const length = Number(file.readBigUInt64LE(offset));
    const end = offset + HEADER_BYTES + length + FOOTER_BYTES;
    if (maskedCrc32c(file.subarray(offset, offset + 8)) !== file.readUInt32LE(offset + 8) || end > file.length) return;
    const data = file.subarray(offset + HEADER_BYTES, end - FOOTER_BYTES);
    if (maskedCrc32c(data) !== file.readUInt32LE(end - FOOTER_BYTES)) return;
    yield { data, offset, end };
    offset = end;
  }
}
