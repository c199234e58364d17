/** Numbers beside a record's JSON. */
export type NumberArray = Int32Array | Float32Array | Uint16Array;

/** JSON text and numbers as one payload: length of the text, the text, the arrays (little-endian) one after the other. */
export function packRecord(json: string, arrays: readonly NumberArray[]): Buffer {
  const text = Buffer.byteLength(json);
  const payload = Buffer.allocUnsafe(4 + text + arrays.reduce((bytes, array) => bytes + array.byteLength, 0));
  payload.writeUInt32LE(text, 0);
  payload.write(json, 4);
  let offset = 4 + text;
  for (const array of arrays) {
    payload.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), offset);
    offset += array.byteLength;
  }
  return payload;
}

/** Takes a payload of {@link packRecord} apart: the JSON first, then array after array. */
export class RecordParts {
  readonly json: unknown;
  #offset: number;

  /** @param start Where the record begins. */
  constructor(
    private readonly payload: Buffer,
    start = 0,
  ) {
    const text = payload.readUInt32LE(start);
    this.#offset = start + 4 + text;
    this.json = JSON.parse(payload.toString("utf8", start + 4, this.#offset));
  }

  int32(length: number): Int32Array {
    return new Int32Array(this.#take(length * 4));
  }

  float32(length: number): Float32Array {
    return new Float32Array(this.#take(length * 4));
  }

  uint16(length: number): Uint16Array {
    return new Uint16Array(this.#take(length * 2));
  }

  /** A copy: an array must be aligned, and must not hold the whole payload. */
  #take(bytes: number): ArrayBuffer {
    const end = this.#offset + bytes;
    if (end > this.payload.length) throw new RangeError(`Expected ${end} bytes but received ${this.payload.length}`);
    const part = new Uint8Array(bytes);
    part.set(this.payload.subarray(this.#offset, end));
    this.#offset = end;
    return part.buffer;
  }
}

/**
 * JSON of any value: what JSON cannot hold is written as text, so that no metadata of a workflow's can stop a run. The
 * same value gives the same text.
 */
export function toJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch {
    const above: unknown[] = [];
    const text = JSON.stringify(value, function (this: unknown, _key, inner: unknown) {
      if (typeof inner === "bigint") return String(inner);
      if (typeof inner !== "object" || inner === null) return inner;
      while (above.length > 0 && above.at(-1) !== this) above.pop();
      if (above.includes(inner)) return "[circular]";
      above.push(inner);
      return inner;
    });
    return text ?? "null";
  }
}
