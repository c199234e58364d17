/** Token ids, one bit each: asked for every token of every step. */
export class TokenIdSet {
  #bits = new Uint8Array(1024);

  /** True where the id was not in it. */
  add(id: number): boolean {
    const byte = id >>> 3;
    if (byte >= this.#bits.length) this.#grow(byte + 1);
    const bit = 1 << (id & 7);
    const before = this.#bits[byte] as number;
    this.#bits[byte] = before | bit;
    return (before & bit) === 0;
  }

  #grow(bytes: number): void {
    const bits = new Uint8Array(Math.max(bytes, this.#bits.length * 2));
    bits.set(this.#bits);
    this.#bits = bits;
  }
}
