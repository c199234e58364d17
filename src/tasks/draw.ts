import { createHash } from "node:crypto";

/** A seeded source of choices; the same key gives the same choices on every machine. */
export class Draw {
  readonly #key: string;
  #block = Buffer.alloc(0);
  #offset = 0;
  #counter = 0;

  constructor(key: string) {
    this.#key = key;
  }

  /** Uniform integer in [low, high], by rejection, so that no value is favoured. */
  int(low: number, high: number): number {
    const range = high - low + 1;
    const limit = Math.floor(2 ** 32 / range) * range;
    for (;;) {
      const word = this.#word();
      if (word < limit) return low + (word % range);
    }
  }

  /** True with probability `percent` / 100. */
  chance(percent: number): boolean {
    return this.int(1, 100) <= percent;
  }

  /** One element of a non-empty list. */
  pick<T>(list: readonly T[]): T {
    const value = list[this.int(0, list.length - 1)];
    if (value === undefined) throw new RangeError("Expected a non-empty list to pick from");
    return value;
  }

  /** `count` different elements, in random order. */
  sample<T>(list: readonly T[], count: number): T[] {
    const rest = [...list];
    return Array.from({ length: count }, () => {
      const [chosen] = rest.splice(this.int(0, rest.length - 1), 1);
      return chosen as T;
    });
  }

  /** All elements in random order (Fisher and Yates). */
  shuffle<T>(list: readonly T[]): T[] {
    const shuffled = [...list];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.int(0, i);
      [shuffled[i], shuffled[j]] = [shuffled[j] as T, shuffled[i] as T];
    }
    return shuffled;
  }

  #word(): number {
    if (this.#offset + 4 > this.#block.length) {
      this.#block = createHash("sha256")
        .update(`${this.#key}/${this.#counter++}`)
        .digest();
      this.#offset = 0;
    }
    const word = this.#block.readUInt32LE(this.#offset);
    this.#offset += 4;
    return word;
  }
}
