const EMPTY = new Uint8Array(0);

/** The bytes of the token ids that occur in a log. */
export class TokenVocabulary {
  readonly #bytes = new Map<number, Uint8Array>();

  /** Distinct ids. */
  get size(): number {
    return this.#bytes.size;
  }

  has(id: number): boolean {
    return this.#bytes.has(id);
  }

  add(id: number, bytes: Uint8Array): void {
    this.#bytes.set(id, bytes);
  }

  /** What a token adds to the text, control tokens included; may be part of a character. Empty for an unknown id. */
  bytesOf(id: number): Uint8Array {
    return this.#bytes.get(id) ?? EMPTY;
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
}
