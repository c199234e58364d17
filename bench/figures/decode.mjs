import { readFileSync } from "node:fs";
import { join } from "node:path";
import { heading, median, number, ratio, spread, table } from "../report.mjs";
import { startAjet, startTorch } from "../worker.mjs";
import { fmaPeak } from "./fma-peak.mjs";
import { attentionProducts, headWeights, layerWeights, QWEN_0_5B } from "./shapes.mjs";

/** ajet-tiny, at the sizes of the tutorial: prompts of 192 tokens, 64 sampled. */
export async function decodeTiny(options) {
  const shape = JSON.parse(readFileSync(join(options.model, "config.json"), "utf8"));
  const ajet = await startAjet("generate", { model: options.model });
  const torch = await startTorch(options, "generate", { model: options.model });
  const targets = { 1: 10, 16: 10, 64: 4 };
  const comparison = { shape, prompt: 192, tokens: 64, requests: options.requests ?? [1, 16, 64], targets };
  const rows = await compare(options, ajet, torch, comparison);
  return [
    heading("Decoding on ajet-tiny against transformers.generate", options.command, [
      ajet.description,
      torch.description,
    ]),
    "Whole calls, prefill included; prompts of 192 tokens that share nothing, 64 tokens sampled at temperature 1.\n",
    rows,
  ].join("\n");
}

/** Random weights of the shape of Qwen2.5-0.5B in fp32. */
export async function decodeSmall(options) {
  const model = join(options.scratch, "model");
  const ajet = await startAjet("generate", { shape: QWEN_0_5B });
  await ajet.call("save", { folder: model });
  const torch = await startTorch(options, "generate", { model });
  const targets = { 1: 1, 16: 1.3 };
  const comparison = { shape: QWEN_0_5B, prompt: 64, tokens: 32, requests: options.requests ?? [1, 16], targets };
  const rows = await compare(options, ajet, torch, comparison);
  return [
    heading("Decoding on the shape of Qwen2.5-0.5B in fp32", options.command, [ajet.description, torch.description]),
    "Whole calls, prefill included; prompts of 64 tokens that share nothing, 32 tokens sampled at temperature 1.\n",
    rows,
  ].join("\n");
}

async function compare(options, ajet, torch, { shape, prompt, tokens, requests, targets }) {
  const peak = fmaPeak(options.native);
  const rows = [];
  for (const count of requests) {
    const prompts = Array.from({ length: count }, (_, i) => promptOf(shape.vocab_size, prompt, i));
    const times = { ajet: [], torch: [] };
    for (let round = -1; round < options.rounds; round++) {
      const first = await ajet.call("generate", { prompts, tokens });
      const second = await torch.call("generate", { prompts, tokens });
      if (first.tokens !== second.tokens)
        throw new Error(`ajet sampled ${first.tokens} tokens, PyTorch ${second.tokens}`);
      if (round < 0) continue; // warm-up
      times.ajet.push(1000 * first.seconds);
      times.torch.push(1000 * second.seconds);
    }
    const rate = (values) => number((1000 * count * tokens) / median(values));
    const work = 2 * count * workOf(shape, prompt, tokens);
    const share = number((100 * 1000 * work) / median(times.ajet) / peak, 2);
    const gain = ratio(median(times.torch) / median(times.ajet), targets[count]);
    rows.push([
      count,
      spread(times.ajet),
      rate(times.ajet),
      `${share} %`,
      spread(times.torch),
      rate(times.torch),
      gain,
    ]);
  }
  await Promise.all([ajet.stop(), torch.stop()]);
  const head = ["requests", "ajet ms", "tokens/s", "of the FMA peak", "PyTorch ms", "tokens/s", "ratio"];
  return table(head, rows);
}

/** Multiply-adds of one request. The LM head runs on the prompt's last token and on each sampled one but the last. */
function workOf(shape, prompt, tokens) {
  const rows = prompt + tokens - 1;
  return rows * layerWeights(shape) + tokens * headWeights(shape) + rows * attentionProducts(shape, rows / 2);
}

function promptOf(vocab, tokens, variant) {
  return Array.from({ length: tokens }, (_, i) => (variant * 7919 + i * 104729 + 1) % vocab);
}
