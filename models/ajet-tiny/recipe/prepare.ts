/**
 * Writes what `ajet sft` needs to make ajet-tiny: tokenizer and chat template, a config, and the supervised
 * conversations. `tsx models/ajet-tiny/recipe/prepare.ts OUT [--examples N]`.
 */
import { copyFileSync, createWriteStream, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Template } from "@huggingface/jinja";
import { generateWordProblems } from "../../../src/tasks/word-problems/generate.js";
import { trainBytePairs } from "./byte-pair-encoding.js";
import { modelConfig } from "./model-config.js";
import { SPECIAL_TOKENS, TAG_TOKENS, writeTokenizer } from "./tokenizer-files.js";
import { type Trace, traceOf } from "./traces.js";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const VOCABULARY = 1536;
/** Texts that the byte pairs are learned from: enough for every word of the templates. */
const TOKENIZER_TEXTS = 8000;

const SIZES = { vocabulary: VOCABULARY, layers: 4, hidden: 192, intermediate: 512, heads: 6, kvHeads: 2 };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { examples: { type: "string", default: "90000" } },
});
const out = positionals[0] ?? join(ROOT, "saved_experiments/ajet-tiny-recipe");
const examples = Number(values.examples);
mkdirSync(out, { recursive: true });

const traces = supervisedTraces(examples);
const template = readFileSync(join(ROOT, "models/ajet-tiny/chat_template.jinja"), "utf8");
const chat = new Template(template);
const texts = traces.slice(0, TOKENIZER_TEXTS).map((trace) => renderWithoutTokens(chat, trace));
writeTokenizer(out, trainBytePairs(texts, VOCABULARY - SPECIAL_TOKENS.length - TAG_TOKENS.length));
copyFileSync(join(ROOT, "models/ajet-tiny/chat_template.jinja"), join(out, "chat_template.jinja"));
writeFileSync(join(out, "config.json"), `${JSON.stringify(modelConfig(SIZES), null, 1)}\n`);
const lines = createWriteStream(join(out, "traces.jsonl"));
for (const trace of traces) lines.write(`${JSON.stringify(trace)}\n`);
lines.end();

/** Conversations about problems that no committed split holds. */
function supervisedTraces(count: number): Trace[] {
  const taken = new Set<string>();
  for (const split of ["train", "heldout", "unseen"]) {
    const file = join(ROOT, `tutorial/example_math_agent/data/${split}.jsonl`);
    for (const line of readFileSync(file, "utf8").trim().split("\n")) taken.add(JSON.parse(line).question);
  }
  return generateWordProblems({ seed: 20_000_003, count, taken }).map((problem) => traceOf(problem, "supervised"));
}

/** The rendered conversation, special and tag tokens taken out, since they are never merged with text. */
function renderWithoutTokens(chat: Template, { messages, tools }: Trace): string {
  const parsed = messages.map((message) => ({
    ...message,
    tool_calls: (message["tool_calls"] as { function: { name: string; arguments: string } }[] | undefined)?.map((call) => ({
      ...call,
      function: { ...call.function, arguments: JSON.parse(call.function.arguments) },
    })),
  }));
  const text = chat.render({ messages: parsed, tools, add_generation_prompt: false });
  return [...SPECIAL_TOKENS, ...TAG_TOKENS].reduce((rest, token) => rest.replaceAll(token, "\n"), text);
}
