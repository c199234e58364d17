import { readFileSync } from "node:fs";
import { join } from "node:path";
import { heading, median, number, ratio, spread, table } from "../report.mjs";
import { startAjet, startTorch } from "../worker.mjs";
import { fmaPeak } from "./fma-peak.mjs";
import { attentionProducts, headWeights, layerWeights, QWEN_0_5B } from "./shapes.mjs";

/** ajet-tiny: mostly decoding; then at the tutorial's lengths, its system prompt and tools shared, and with nothing shared. */
export async function decodeTiny(options) {
  const shape = JSON.parse(readFileSync(join(options.model, "config.json"), "utf8"));
  const workers = await startAll(options, await startAjet("generate", { model: options.model }), options.model);
  const sizes = [
    { prompt: 16, tokens: 128, targets: { 1: 10, 16: 10, 64: 4 } },
    { prompt: 192, shared: 164, tokens: 64, targets: {} },
    { prompt: 192, tokens: 64, targets: {} },
  ];
  const requests = options.requests ?? [1, 16, 64];
  return record("Decoding on ajet-tiny against transformers.generate", options, { workers, shape, requests, sizes });
}

/** Random weights of the shape of Qwen2.5-0.5B in fp32. */
export async function decodeSmall(options) {
  const model = join(options.scratch, "model");
  const ajet = await startAjet("generate", { shape: QWEN_0_5B });
  await ajet.call("save", { folder: model });
  const workers = await startAll(options, ajet, model);
  const sizes = [{ prompt: 16, tokens: 32, targets: { 1: 1, 16: 1.3 } }];
  const requests = options.requests ?? [1, 16];
  return record("Decoding on the shape of Qwen2.5-0.5B in fp32", options, {
    workers,
    shape: QWEN_0_5B,
    requests,
    sizes,
  });
}

/** PyTorch as transformers runs it, and with weights packed once for oneDNN. */
async function startAll(options, ajet, model) {
  const torch = await startTorch(options, "generate", { model });
  return { ajet, torch, packed: await startTorch(options, "generate", { model, packed: true }) };
}

async function record(title, options, { workers, shape, requests, sizes }) {
  const peak = await fmaPeak(options.native);
  const sections = [];
  for (const { prompt, shared = 0, tokens, targets } of sizes) {
    const common = shared > 0 ? `, its first ${shared} tokens shared by all` : "";
    sections.push(`${tokens} tokens sampled after a prompt of ${prompt}${common}:\n`);
    const rows = [];
    for (const count of requests) {
      const prompts = Array.from({ length: count }, (_, i) => promptOf(shape.vocab_size, prompt, shared, i));
      const times = await measure(workers, { rounds: options.rounds, prompts, tokens });
      const work = count * workOf(shape, prompt, tokens) - (count - 1) * prefixWork(shape, shared);
      const share = (2 * work * 1000) / median(times.ajet) / peak;
      const rate = number((1000 * count * tokens) / median(times.ajet));
      const against = (peer, target) => ratio(median(times[peer]) / median(times.ajet), target);
      rows.push([
        count,
        `${spread(times.ajet)}: ${rate} tokens/s, ${number(100 * share, 2)} %`,
        spread(times.torch),
        against("torch", targets[count]),
        spread(times.packed),
        against("packed"),
      ]);
    }
    const head = [
      "requests",
      "ajet ms, share of the FMA peak",
      "transformers ms",
      "ratio",
      "packed weights ms",
      "ratio",
    ];
    sections.push(`${table(head, rows)}\n`);
  }
  await Promise.all(Object.values(workers).map((worker) => worker.stop()));
  return [
    heading(title, options.command, [workers.ajet.description, workers.torch.description]),
    "Whole calls, prefill included; temperature 1; prompts share nothing unless said. The targets are against transformers as it is.\n",
    ...sections,
  ].join("\n");
}

/** Milliseconds of each side, which take turns. */
async function measure(workers, { rounds, prompts, tokens }) {
  const times = { ajet: [], torch: [], packed: [] };
  for (let round = -1; round < rounds; round++) {
    for (const [side, worker] of Object.entries(workers)) {
      const reply = await worker.call("generate", { prompts, tokens });
      if (reply.tokens !== prompts.length * tokens)
        throw new Error(`${side} sampled ${reply.tokens} tokens, not ${prompts.length * tokens}`);
      if (round >= 0) times[side].push(1000 * reply.seconds); // the first is a warm-up
    }
  }
  return times;
}

/** Multiply-adds of one request. The LM head runs on the prompt's last token and on each sampled one but the last. */
function workOf(shape, prompt, tokens) {
  const rows = prompt + tokens - 1;
  return rows * layerWeights(shape) + tokens * headWeights(shape) + rows * attentionProducts(shape, rows / 2);
}

/** Multiply-adds of a prefix, computed once for all requests. */
function prefixWork(shape, tokens) {
  return tokens * layerWeights(shape) + tokens * attentionProducts(shape, tokens / 2);
}

function promptOf(vocab, tokens, shared, variant) {
  return Array.from({ length: tokens }, (_, i) => ((i < shared ? 0 : variant * 7919) + i * 104729 + 1) % vocab);
}
