import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BytePairs, WORD_PATTERN } from "./byte-pair-encoding.js";

/** Tokens that end turns or mark them; never part of plain text. */
export const SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] as const;
/** Tags of the tool protocol: one token each, but text like any other. */
export const TAG_TOKENS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"] as const;

/** Writes tokenizer.json, tokenizer_config.json and generation_config.json in Hugging Face's formats. */
export function writeTokenizer(directory: string, { vocabulary, merges }: BytePairs): void {
  const added = [...SPECIAL_TOKENS, ...TAG_TOKENS].map((content, i) => ({
    id: vocabulary.size + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: (SPECIAL_TOKENS as readonly string[]).includes(content),
  }));
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: WORD_PATTERN }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
      ],
    },
    post_processor: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary),
      merges: merges.map((pair) => pair.join(" ")),
    },
  };
  const id = (content: string) => added.find((token) => token.content === content)?.id;
  const config = {
    add_bos_token: false,
    add_prefix_space: false,
    bos_token: null,
    clean_up_tokenization_spaces: false,
    eos_token: "<|im_end|>",
    model_max_length: 2048,
    pad_token: "<|endoftext|>",
    split_special_tokens: false,
    tokenizer_class: "Qwen2Tokenizer",
    unk_token: null,
  };
  const generation = {
    do_sample: true,
    eos_token_id: [id("<|im_end|>"), id("<|endoftext|>")],
    pad_token_id: id("<|endoftext|>"),
    temperature: 1.0,
  };
  const write = (name: string, value: unknown) => writeFileSync(join(directory, name), `${JSON.stringify(value, null, 1)}\n`);
  write("tokenizer.json", tokenizer);
  write("tokenizer_config.json", config);
  write("generation_config.json", generation);
}
