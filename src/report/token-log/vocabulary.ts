const EMPTY = new Uint8Array(0);

/** The bytes of the token ids that occur in a log: side by side, since each segment of a log has thousands of its own. */
export class TokenVocabulary {
  /** Entry i has the bytes from `#ends[i - 1]` to `#ends[i]`. */
  readonly #entries = new Map<number, number>();
  readonly #ends: number[] = [];
  #bytes = new Uint8Array(1024);

  /** Distinct ids. */
  get size(): number {
    return this.#entries.size;
  }

  has(id: number): boolean {
    return this.#entries.has(id);
  }

  add(id: number, bytes: Uint8Array): void {
    const start = this.#ends.at(-1) ?? 0;
    const end = start + bytes.length;
    if (end > this.#bytes.length) this.#grow(end);
    this.#bytes.set(bytes, start);
    this.#entries.set(id, this.#ends.push(end) - 1);
  }

  /** What a token adds to the text, control tokens included; may be part of a character. Empty for an unknown id. */
  bytesOf(id: number): Uint8Array {
    const entry = this.#entries.get(id);
    return entry === undefined ? EMPTY : this.#bytes.subarray(this.#ends[entry - 1] ?? 0, this.#ends[entry]);
  }

  /**
   * The text of each token; together they are the whole text. Of tokens that share a character, the last has it and those
   * before are empty. What is no UTF-8 becomes U+FFFD.
   */
  texts(ids: Int32Array): string[] {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const last = ids.length - 1;
    return Array.from(ids, (id, i) => decoder.decode(this.bytesOf(id), { stream: i < last }));
  }

  text(ids: Int32Array): string {
    return this.texts(ids).join("");
  }

  #grow(least: number): void {
    const bytes = new Uint8Array(Math.max(least, this.#bytes.length * 2));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
  }
}
