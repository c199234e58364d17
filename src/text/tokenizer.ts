import { join } from "node:path";
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { FileError } from "../native/errors.js";
import { isJsonObject, type JsonObject, readJsonObject } from "./json-file.js";
import { LruCache } from "./lru-cache.js";
import { StreamDecoder } from "./stream-decoder.js";
import { type ByteSpelling, byteSpelling, tokenBytes } from "./token-bytes.js";

interface AddedToken {
  id: number;
  content: string;
  special: boolean;
  /** Matched in the text as written, before the normalizer runs. */
  verbatim: boolean;
  /** Matches without touching its neighbours, so that the text around it can be encoded piece by piece. */
  separates: boolean;
}

/** Special tokens that are part of what a client reads: the tags around tool calls and reasoning. */
const VISIBLE_SPECIALS = new Set(["<tool_call>", "</tool_call>", "<think>", "</think>"]);

/** Pieces whose ids are kept: system prompts and tool lists repeat from call to call. */
const CACHED_PIECES = 8192;

/** A model folder's tokenizer: text to ids, ids to text and bytes, and the ids with a meaning of their own. */
export class Tokenizer {
  /** One more than the largest id. */
  readonly vocabSize: number;
  /** Tokens that end a completion (`generation_config.json`, else tokenizer_config.json's `eos_token`). */
  readonly endIds: readonly number[];
  readonly specialIds: ReadonlySet<number>;
  readonly bosToken: string;
  readonly eosToken: string;

  private readonly pieces = new LruCache<string, readonly number[]>(CACHED_PIECES);
  private readonly bytesById = new Map<number, Uint8Array>();
  private readonly addedById: ReadonlyMap<number, AddedToken>;
  private readonly hiddenIds: ReadonlySet<number>;
  /** Splits at added tokens; absent where one of them reaches into the text around it. */
  private readonly separator: RegExp | undefined;

  constructor(
    private readonly inner: HuggingFaceTokenizer,
    private readonly spelling: ByteSpelling,
    json: JsonObject,
    config: JsonObject,
    generationConfig: JsonObject,
    path: string,
  ) {
    const added = addedTokens(json);
    this.addedById = new Map(added.map((token) => [token.id, token]));
    const special = added.filter((token) => token.special);
    this.specialIds = new Set(special.map((token) => token.id));
    this.hiddenIds = new Set(special.filter((token) => !VISIBLE_SPECIALS.has(token.content)).map((token) => token.id));
    this.separator = spelling === "byte-level" ? separatorOf(added) : undefined;
    this.vocabSize = largestId(inner) + 1;
    this.bosToken = namedToken(config, "bos_token");
    this.eosToken = namedToken(config, "eos_token");
    this.endIds = this.readEndIds(generationConfig, path);
  }

  /** Ids of `text`; special tokens written in it are recognised, none is added. */
  encode(text: string): number[] {
    if (text === "") return [];
    const pieces = this.separator === undefined ? [text] : text.split(this.separator);
    const ids: number[] = [];
    for (const piece of pieces) {
      if (piece !== "") for (const id of this.encodePiece(piece)) ids.push(id);
    }
    return ids;
  }

  /** Text of `ids` without control tokens; bytes that are no UTF-8 become U+FFFD. */
  decode(ids: Iterable<number>): string {
    const decoder = new StreamDecoder(this);
    let text = "";
    for (const id of ids) text += decoder.push(id);
    return text + decoder.end();
  }

  /** The bytes of one token, control tokens included; empty for an id that the vocabulary does not have. */
  bytes(id: number): Uint8Array {
    let bytes = this.bytesById.get(id);
    if (bytes === undefined) {
      const added = this.addedById.get(id);
      const token = this.inner.id_to_token(id) ?? "";
      bytes = added === undefined ? tokenBytes(token, this.spelling) : new TextEncoder().encode(added.content);
      this.bytesById.set(id, bytes);
    }
    return bytes;
  }

  /** True for control tokens, which are no part of the text that a client sees. */
  isHidden(id: number): boolean {
    return this.hiddenIds.has(id);
  }

  /** Id of a token by its spelling in the vocabulary. */
  idOf(token: string): number | undefined {
    return this.inner.token_to_id(token);
  }

  private encodePiece(piece: string): readonly number[] {
    const cached = this.pieces.get(piece);
    if (cached !== undefined) return cached;
    const { ids } = this.inner.encode(piece, { add_special_tokens: false });
    this.pieces.set(piece, ids);
    return ids;
  }

  private readEndIds(generationConfig: JsonObject, path: string): number[] {
    const configured = generationConfig["eos_token_id"];
    const ids = Array.isArray(configured) ? configured : configured == null ? [this.idOf(this.eosToken)] : [configured];
    return ids
      .filter((id) => id !== undefined)
      .map((id: unknown) => {
        if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id < this.vocabSize) return id;
        throw new FileError(
          `Expected \`eos_token_id\` below the tokenizer's ${this.vocabSize} ids but received ${id} (${path})`,
        );
      });
  }
}

/**
 * Reads `tokenizer.json`, `tokenizer_config.json` and `generation_config.json` (the latter two may be missing).
 * `vocabSize` is the model's: a larger vocabulary could name rows that the embedding does not have.
 */
export async function loadTokenizer(dir: string, options: { vocabSize?: number } = {}): Promise<Tokenizer> {
  const path = join(dir, "tokenizer.json");
  const [json, config, generationConfig] = await Promise.all([
    readJsonObject(path),
    readJsonObject(join(dir, "tokenizer_config.json")),
    readJsonObject(join(dir, "generation_config.json")),
  ]);
  if (json === undefined) {
    throw new FileError(`No tokenizer.json in ${dir}: a model folder needs one (convert a SentencePiece model first)`);
  }
  const spelling = byteSpelling(json["decoder"], path);
  let inner: HuggingFaceTokenizer;
  try {
    inner = new HuggingFaceTokenizer(json, config ?? {});
  } catch (cause) {
    throw new FileError(`Cannot use ${path}: ${(cause as Error).message}`, { cause });
  }
  const tokenizer = new Tokenizer(inner, spelling, json, config ?? {}, generationConfig ?? {}, dir);
  if (options.vocabSize !== undefined && tokenizer.vocabSize > options.vocabSize) {
    throw new FileError(
      `Expected at most ${options.vocabSize} ids (the model's \`vocab_size\`) in ${path} but received ` +
        `${tokenizer.vocabSize}: tokenizer and weights belong to different models`,
    );
  }
  return tokenizer;
}

function largestId(inner: HuggingFaceTokenizer): number {
  let largest = -1;
  for (const id of inner.get_vocab().values()) largest = Math.max(largest, id);
  return largest;
}

function addedTokens(json: JsonObject): AddedToken[] {
  const hasNormalizer = json["normalizer"] != null;
  const list = Array.isArray(json["added_tokens"]) ? json["added_tokens"].filter(isJsonObject) : [];
  return list.map((token) => {
    const special = token["special"] === true;
    const normalized = typeof token["normalized"] === "boolean" ? token["normalized"] : !special;
    return {
      id: Number(token["id"]),
      content: String(token["content"]),
      special,
      verbatim: !(normalized && hasNormalizer),
      separates: token["lstrip"] !== true && token["rstrip"] !== true,
    };
  });
}

function separatorOf(added: readonly AddedToken[]): RegExp | undefined {
  if (added.some((token) => !token.separates)) return undefined;
  const contents = added.filter((token) => token.verbatim && token.content !== "").map((token) => token.content);
  if (contents.length === 0) return undefined;
  // Longest first: the alternation takes the first that matches, the tokenizer the longest.
  contents.sort((a, b) => b.length - a.length);
  return new RegExp(`(${contents.map((content) => content.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|")})`);
}

// tokenizer_config.json writes a token as a string or as {"content": …}.
function namedToken(config: JsonObject, key: string): string {
  const value = config[key];
  if (typeof value === "string") return value;
  return isJsonObject(value) && typeof value["content"] === "string" ? value["content"] : "";
}
