import { FileError } from "../native/errors.js";
import { isJsonObject, type JsonObject } from "./json-file.js";

/** How a vocabulary spells bytes: GPT-2's byte-level alphabet, or SentencePiece with `▁` and `<0x0A>`. */
export type ByteSpelling = "byte-level" | "sentencepiece";

const utf8 = new TextEncoder();
const BYTE_PIECE = /^<0x([0-9A-Fa-f]{2})>$/;

// GPT-2's table: printable Latin-1 stands for itself, the other 68 bytes are U+0100 onwards in byte order.
const BYTE_OF_CHARACTER = new Map<string, number>();
for (let byte = 0, shifted = 0x100; byte < 256; byte++) {
  const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  BYTE_OF_CHARACTER.set(String.fromCharCode(printable ? byte : shifted++), byte);
}

/** The bytes that one vocabulary entry adds to the text. */
export function tokenBytes(token: string, spelling: ByteSpelling): Uint8Array {
  if (spelling === "sentencepiece") {
    const byte = BYTE_PIECE.exec(token)?.[1];
    return byte === undefined ? utf8.encode(token.replaceAll("▁", " ")) : Uint8Array.of(Number.parseInt(byte, 16));
  }
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTE_OF_CHARACTER.get(character);
    if (byte === undefined) bytes.push(...utf8.encode(character));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** Reads the spelling off tokenizer.json's `decoder`. */
export function byteSpelling(decoder: unknown, path: string): ByteSpelling {
  const types = decoderTypes(decoder);
  if (types.includes("ByteLevel")) return "byte-level";
  if (types.some((type) => type === "ByteFallback" || type === "Metaspace")) return "sentencepiece";
  throw new FileError(
    `Expected a ByteLevel, ByteFallback or Metaspace decoder in ${path} but received ${types.join(", ") || "none"}`,
  );
}

function decoderTypes(decoder: unknown): string[] {
  if (!isJsonObject(decoder)) return [];
  const { type, decoders } = decoder as JsonObject & { type?: unknown; decoders?: unknown };
  const nested = Array.isArray(decoders) ? decoders.flatMap(decoderTypes) : [];
  return typeof type === "string" && type !== "Sequence" ? [type, ...nested] : nested;
}
