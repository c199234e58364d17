import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** An event file's reader of its own, which shares no line with the writer: CRC bit by bit, fields by wire type alone. */

function crc32cBitwise(bytes: Uint8Array): number {
  let remainder = 0xffffffffn;
  for (const byte of bytes) {
    remainder ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) remainder = (remainder >> 1n) ^ ((remainder & 1n) * 0x82f63b78n);
  }
  return Number(remainder ^ 0xffffffffn);
}

function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated << 15) | (rotated >>> 17)) >>> 0;
}

type Field = [number: number, value: bigint | Buffer];

function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = [];
  let rest = message;
  const varint = () => {
    const length = rest.findIndex((byte) => byte < 0x80) + 1;
    const value = rest.subarray(0, length).reduceRight((sum, byte) => (sum << 7n) | BigInt(byte & 0x7f), 0n);
    rest = rest.subarray(length);
    return value;
  };
  const bytes = (length: number) => {
    const value = rest.subarray(0, length);
    rest = rest.subarray(length);
    return value;
  };
  while (rest.length > 0) {
    const key = Number(varint());
    const wire = key & 7;
    if (![0, 1, 2, 5].includes(wire)) throw new Error(`wire type ${wire}`);
    const value = wire === 0 ? varint() : bytes(wire === 1 ? 8 : wire === 5 ? 4 : Number(varint()));
    fields.push([key >> 3, value]);
  }
  return fields;
}

/** A decoded event: what field it carries, and its scalars. */
export interface DecodedEvent {
  wallTime: number;
  step: number;
  version?: string;
  isRestart: boolean;
  /** Tags of values that are no scalars. */
  tensors: string[];
  scalars: Record<string, number>;
}

function decode(data: Buffer): DecodedEvent {
  const event: DecodedEvent = { wallTime: 0, step: 0, isRestart: false, tensors: [], scalars: {} };
  for (const [field, value] of fieldsOf(data)) {
    if (field === 1) event.wallTime = (value as Buffer).readDoubleLE();
    if (field === 2) event.step = Number(value);
    if (field === 3) event.version = String(value);
    if (field === 7) event.isRestart = fieldsOf(value as Buffer).some(([status, code]) => status === 1 && code === 1n);
    if (field !== 5) continue;
    for (const [, entry] of fieldsOf(value as Buffer)) {
      const parts = new Map(fieldsOf(entry as Buffer));
      const number = parts.get(2) as Buffer | undefined;
      if (number) event.scalars[String(parts.get(1))] = number.readFloatLE();
      else event.tensors.push(String(parts.get(1)));
    }
  }
  return event;
}

/** The events of one file. @throws where a length or a CRC is wrong. */
export function decodeFile(file: string): DecodedEvent[] {
  const content = readFileSync(file);
  const events: DecodedEvent[] = [];
  for (let at = 0; at < content.length; ) {
    const length = Number(content.readBigUInt64LE(at));
    const data = content.subarray(at + 12, at + 12 + length);
    const sums = [content.subarray(at, at + 8), data].map(crc32cBitwise);
    const stored = [content.readUInt32LE(at + 8), content.readUInt32LE(at + 12 + length)].map(unmask);
    if (sums.join() !== stored.join()) throw new Error(`${file}: wrong CRC at ${at}`);
    events.push(decode(data));
    at += 16 + length;
  }
  return events;
}

/** Points of every tag, in the files' order. */
export function decodeSeries(folder: string): Record<string, [step: number, value: number][]> {
  const series: Record<string, [number, number][]> = {};
  for (const name of readdirSync(folder).sort()) {
    for (const { step, scalars } of decodeFile(join(folder, name))) {
      for (const [tag, value] of Object.entries(scalars)) {
        series[tag] ??= [];
        series[tag].push([step, value]);
      }
    }
  }
  return series;
}
