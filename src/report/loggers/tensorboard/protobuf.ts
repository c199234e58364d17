/** Protocol Buffers' wire format, as far as event files need it. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

function key(field: number, wireType: number): Buffer {
  return varint(field * 8 + wireType);
}

/** A field of type int32, int64, bool or enum, not negative. */
export function integerField(field: number, value: number): Buffer {
  return Buffer.concat([key(field, VARINT), varint(value)]);
}

export function doubleField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([key(field, FIXED64), bytes]);
}

export function floatField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([key(field, FIXED32), bytes]);
}

/** A field of type string, bytes or a message. */
export function bytesField(field: number, ...parts: (string | Uint8Array)[]): Buffer {
  const value = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
  return Buffer.concat([key(field, BYTES), varint(value.length), value]);
}

/** One field of a message: a number for varints, bytes otherwise. */
export interface FoundField {
  field: number;
  value: number | Buffer;
}

/** The fields of a message. @throws RangeError where it is none. */
export function* readFields(message: Buffer): Generator<FoundField> {
  let at = 0;
  const readVarint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = message.readUInt8(at++);
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  const readBytes = (length: number) => {
    if (at + length > message.length) throw new RangeError("The message is torn");
    at += length;
    return message.subarray(at - length, at);
  };
  while (at < message.length) {
    const tag = readVarint();
    const field = Math.floor(tag / 8);
    const wireType = tag % 8;
    if (wireType === VARINT) yield { field, value: readVarint() };
    else if (wireType === FIXED64) yield { field, value: readBytes(8) };
    else if (wireType === BYTES) yield { field, value: readBytes(readVarint()) };
    else if (wireType === FIXED32) yield { field, value: readBytes(4) };
    else throw new RangeError(`There is no wire type ${wireType}`);
  }
}
