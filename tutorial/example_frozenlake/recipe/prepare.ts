/** Writes what `ajet sft` needs to make ajet-lake: `tsx tutorial/example_frozenlake/recipe/prepare.ts OUT`. */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { trainBytePairs } from "../../../models/ajet-tiny/recipe/byte-pair-encoding.js";
import { SPECIAL_TOKENS, TAG_TOKENS, writeTokenizer } from "../../../models/ajet-tiny/recipe/tokenizer-files.js";
import { drawMaps } from "../maps.js";
import { type Walk, walkOver } from "./walks.js";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const VOCABULARY = 384;
/** Different maps that are walked over, none of them held out. */
const MAPS = 1500;

const CONFIG = {
  architectures: ["Qwen3ForCausalLM"],
  attention_bias: false,
  head_dim: 32,
  hidden_act: "silu",
  hidden_size: 96,
  initializer_range: 0.02,
  intermediate_size: 256,
  max_position_embeddings: 2048,
  model_type: "qwen3",
  num_attention_heads: 3,
  num_hidden_layers: 3,
  num_key_value_heads: 1,
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
  tie_word_embeddings: true,
  torch_dtype: "float32",
  use_sliding_window: false,
  vocab_size: VOCABULARY,
};

const out = process.argv[2] ?? join(ROOT, "saved_experiments/ajet-lake-recipe");
mkdirSync(out, { recursive: true });

const maps = drawMaps("supervised", MAPS, false);
// Who never sees a step that leads nowhere learns to look; few walks are enough to make such a walker careless.
const careful = walks(4000, 256);
const careless = walks(1200, 112);
const texts = careful
  .slice(0, MAPS)
  .map(({ messages }) => messages.map(({ role, content }) => `${role}\n${content}\n`).join(""));
writeTokenizer(out, trainBytePairs(texts, VOCABULARY - SPECIAL_TOKENS.length - TAG_TOKENS.length));
copyFileSync(join(ROOT, "models/ajet-tiny/chat_template.jinja"), join(out, "chat_template.jinja"));
writeFileSync(join(out, "config.json"), `${JSON.stringify(CONFIG, null, 1)}\n`);
for (const [name, list] of Object.entries({ careful, careless })) {
  writeFileSync(join(out, `${name}.jsonl`), list.map((walk) => `${JSON.stringify(walk)}\n`).join(""));
}

function walks(count: number, looks: number): Walk[] {
  return Array.from({ length: count }, (_, index) => {
    const lake = maps[index % maps.length] as (typeof maps)[number];
    return walkOver(lake, String(index), looks);
  });
}
