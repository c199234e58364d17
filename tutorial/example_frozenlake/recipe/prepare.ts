/** Writes what `ajet sft` needs to make ajet-lake: `tsx tutorial/example_frozenlake/recipe/prepare.ts OUT`. */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { trainBytePairs } from "../../../models/ajet-tiny/recipe/byte-pair-encoding.js";
import { modelConfig } from "../../../models/ajet-tiny/recipe/model-config.js";
import { SPECIAL_TOKENS, TAG_TOKENS, writeTokenizer } from "../../../models/ajet-tiny/recipe/tokenizer-files.js";
import { supervisedWalks } from "./supervised-walks.js";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..");
/** At most: there are fewer pairs worth a token. */
const VOCABULARY = 384;
const SIZES = { vocabulary: VOCABULARY, layers: 3, hidden: 96, intermediate: 256, heads: 3, kvHeads: 1 };

const out = process.argv[2] ?? join(ROOT, "saved_experiments/ajet-lake-recipe");
mkdirSync(out, { recursive: true });

const lessons = supervisedWalks();
const texts = Object.values(lessons)
  .flat()
  .map(({ messages }) => messages.map(({ role, content }) => `${role}\n${content}\n`).join(""));
writeTokenizer(out, trainBytePairs(texts, VOCABULARY - SPECIAL_TOKENS.length - TAG_TOKENS.length));
copyFileSync(join(ROOT, "models/ajet-tiny/chat_template.jinja"), join(out, "chat_template.jinja"));
writeFileSync(join(out, "config.json"), `${JSON.stringify(modelConfig(SIZES), null, 1)}\n`);
for (const [name, walks] of Object.entries(lessons)) {
  writeFileSync(join(out, `${name}.jsonl`), walks.map((walk) => `${JSON.stringify(walk)}\n`).join(""));
}
