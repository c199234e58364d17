import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileError } from "../../src/native/errors.js";
import { StreamDecoder } from "../../src/text/stream-decoder.js";
import { loadTokenizer } from "../../src/text/tokenizer.js";

const tinyChat = new URL("fixtures/tiny-chat", import.meta.url).pathname;
const parity = JSON.parse(readFileSync(new URL("fixtures/parity.json", import.meta.url), "utf8")) as {
  encodings: { text: string; ids: number[] }[];
};
const tokenizer = await loadTokenizer(tinyChat);

describe("encode and decode", () => {
  it.each(parity.encodings)("gives the ids of the Rust tokenizer for $text", ({ text, ids }) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    // Again, now from the cache of pieces.
    expect(tokenizer.encode(text)).toEqual(ids);
  });

  it("decodes to the normalised text without control tokens", () => {
    for (const { text, ids } of parity.encodings) {
      expect(tokenizer.decode(ids)).toBe(text.normalize("NFC").replaceAll(/<\|\w+\|>/g, ""));
    }
  });

  it("joins pieces as if the text had been encoded at once", () => {
    const turn = "<|im_start|>user\nWhat is 3 * 4?<|im_end|>\n";
    expect(tokenizer.encode(turn + turn)).toEqual([...tokenizer.encode(turn), ...tokenizer.encode(turn)]);
  });

  it("keeps tool-call tags visible and control tokens hidden", () => {
    const ids = tokenizer.encode("<|im_start|>a<tool_call>b</tool_call><|im_end|>");
    expect(tokenizer.decode(ids)).toBe("a<tool_call>b</tool_call>");
  });

  it("knows the end tokens", () => {
    expect(tokenizer.endIds).toEqual([tokenizer.idOf("<|im_end|>"), tokenizer.idOf("<|endoftext|>")]);
    for (const id of tokenizer.endIds) expect(tokenizer.specialIds.has(id)).toBe(true);
  });
});

describe("StreamDecoder", () => {
  const bytesOf = (text: string) => [...Buffer.from(text)].map((byte) => singleByteId(byte));
  // The vocabulary's first 256 entries are the single bytes.
  const idByByte = new Map(Array.from({ length: 256 }, (_, id) => [tokenizer.bytes(id)[0] as number, id]));
  const singleByteId = (byte: number) => idByByte.get(byte) as number;

  it("never emits part of a character, whatever the token borders", () => {
    const text = "né 😀日本\ufeff👩‍👧.";
    const decoder = new StreamDecoder(tokenizer);
    const deltas = bytesOf(text).map((id) => decoder.push(id));
    expect(deltas.join("") + decoder.end()).toBe(text);
    for (const delta of deltas) expect(delta).not.toContain("\ufffd");
    // One delta per character, at its last byte.
    expect(deltas.filter((delta) => delta !== "")).toEqual([...text]);
  });

  it("decodes any bytes as a decoder of the whole would", () => {
    let state = 12345;
    const random = (below: number) => {
      state = (state * 1103515245 + 12345) % 2147483648;
      return Math.floor((state / 2147483648) * below);
    };
    const interesting = [0x41, 0x80, 0xbf, 0xc2, 0xc0, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xff, 0x9f, 0xa0];
    for (let round = 0; round < 500; round++) {
      const bytes = Array.from({ length: random(12) }, () => interesting[random(interesting.length)] as number);
      const decoder = new StreamDecoder(tokenizer);
      const text = bytes.map((byte) => decoder.push(singleByteId(byte))).join("") + decoder.end();
      expect(text).toBe(new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes)));
    }
  });

  it("shows U+FFFD for a character that never ends", () => {
    const decoder = new StreamDecoder(tokenizer);
    expect(
      bytesOf("😀")
        .slice(0, 3)
        .map((id) => decoder.push(id))
        .join(""),
    ).toBe("");
    expect(decoder.end()).toBe("\ufffd");
  });
});

describe("SentencePiece spelling", () => {
  it("reads byte pieces and ▁", async () => {
    const dir = mkdtempSync(join(tmpdir(), "ajet-tokenizer-"));
    const vocab = { "<unk>": 0, "<s>": 1, "</s>": 2, "<0xC3>": 3, "<0xA9>": 4, "▁a": 5, b: 6 };
    const added = [{ id: 2, content: "</s>", special: true, normalized: false }];
    writeFileSync(
      join(dir, "tokenizer.json"),
      JSON.stringify({
        added_tokens: added,
        normalizer: null,
        pre_tokenizer: null,
        post_processor: null,
        decoder: { type: "Sequence", decoders: [{ type: "ByteFallback" }, { type: "Fuse" }] },
        model: { type: "BPE", vocab, merges: [], byte_fallback: true, unk_token: "<unk>" },
      }),
    );
    writeFileSync(join(dir, "tokenizer_config.json"), JSON.stringify({ eos_token: { content: "</s>" } }));
    const llama = await loadTokenizer(dir);
    rmSync(dir, { recursive: true });
    expect(llama.decode([5, 6, 3, 4, 2])).toBe(" abé");
    expect(llama.endIds).toEqual([2]);
  });
});

describe("model folders", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "ajet-tokenizer-"));
    cpSync(tinyChat, dir, { recursive: true });
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const failure = async (options = {}) => {
    const error = await loadTokenizer(dir, options).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(FileError);
    return (error as FileError).message;
  };

  it("names a missing tokenizer.json", async () => {
    rmSync(join(dir, "tokenizer.json"));
    expect(await failure()).toContain(`No tokenizer.json in ${dir}`);
  });

  it("names a file that is not JSON", async () => {
    writeFileSync(join(dir, "tokenizer_config.json"), '{"eos_token": ');
    expect(await failure()).toMatch(/tokenizer_config\.json is not valid JSON/);
  });

  it("names a tokenizer.json without its parts", async () => {
    writeFileSync(join(dir, "tokenizer.json"), "{}");
    expect(await failure()).toMatch(/decoder/);
  });

  it("refuses a vocabulary larger than the model's, and takes an equal one", async () => {
    expect(await failure({ vocabSize: tokenizer.vocabSize - 1 })).toMatch(/vocab_size/);
    await expect(loadTokenizer(dir, { vocabSize: tokenizer.vocabSize })).resolves.toBeDefined();
  });

  it("refuses an end id that no token has", async () => {
    writeFileSync(join(dir, "generation_config.json"), JSON.stringify({ eos_token_id: tokenizer.vocabSize }));
    expect(await failure()).toMatch(/eos_token_id/);
  });

  it("matches the longest of added tokens that begin alike", async () => {
    const path = join(dir, "tokenizer.json");
    const json = JSON.parse(readFileSync(path, "utf8")) as { added_tokens: object[] };
    const short = { id: tokenizer.vocabSize, content: "<|im_", special: false, normalized: false };
    json.added_tokens.unshift(short);
    writeFileSync(path, JSON.stringify(json));
    const ids = (await loadTokenizer(dir)).encode("<|im_start|><|im_");
    expect(ids).toEqual([tokenizer.idOf("<|im_start|>"), short.id]);
  });

  it("falls back to eos_token without a generation_config.json", async () => {
    rmSync(join(dir, "generation_config.json"));
    expect((await loadTokenizer(dir)).endIds).toEqual([tokenizer.idOf("<|im_end|>")]);
  });
});
