/** What a decoder needs to know of a tokenizer. */
export interface TokenTable {
  bytes(id: number): Uint8Array;
  isHidden(id: number): boolean;
}

// `ignoreBOM` keeps a leading U+FEFF, which a model may well sample.
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Turns token ids into text as they arrive, holding back the bytes of a character that is not complete yet. */
export class StreamDecoder {
  private held = new Uint8Array(0);

  constructor(private readonly table: TokenTable) {}

  /** The text that `id` completes; empty for control tokens and for the first bytes of a character. */
  push(id: number): string {
    if (this.table.isHidden(id)) return "";
    const added = this.table.bytes(id);
    const bytes = this.held.length === 0 ? added : concat(this.held, added);
    const complete = completeLength(bytes);
    this.held = bytes.slice(complete);
    return utf8.decode(bytes.subarray(0, complete));
  }

  /** The end of the text: U+FFFD where a character was never completed. */
  end(): string {
    const rest = utf8.decode(this.held);
    this.held = new Uint8Array(0);
    return rest;
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

// Everything before a last lead byte whose character still lacks bytes. Cutting in front of a lead byte never changes
// what a decoder makes of either side, so the pieces add up to the decoding of the whole.
function completeLength(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    if (byte < 0x80) return bytes.length;
    if (byte >= 0xc0) {
      const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return back < needed ? bytes.length - back : bytes.length;
    }
  }
  return bytes.length;
}
