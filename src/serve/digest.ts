import { createHash } from "node:crypto";

/** What can be digested; token ids go in as their bytes. */
export type DigestPart = string | bigint | number | Int32Array;

/** SHA-256 over length-prefixed parts, so that no two lists of parts share their bytes. */
export function digest(...parts: readonly DigestPart[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) {
    const bytes =
      part instanceof Int32Array
        ? Buffer.from(part.buffer, part.byteOffset, part.byteLength)
        : Buffer.from(String(part), "utf8");
    hash.update(`${bytes.length}:`);
    hash.update(bytes);
  }
  return hash.digest();
}

/** The first 64 bits of `digest`: a seed. */
export function seedOf(...parts: readonly DigestPart[]): bigint {
  return digest(...parts).readBigUInt64LE(0);
}

/** The first 96 bits of `digest` in hex: an id. */
export function idOf(...parts: readonly DigestPart[]): string {
  return digest(...parts).toString("hex", 0, 12);
}
