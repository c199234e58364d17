import { readFileSync } from "node:fs";
import { join } from "node:path";
import { geometricMean, heading, median, number, ratio, table } from "../report.mjs";
import { startTorch, THREADS, Worker } from "../worker.mjs";
import { QWEN_0_5B } from "./shapes.mjs";

const SECONDS = 0.05; // of repeats of one product in a round

/** The three products of each linear layer of ajet-tiny and of the 0.5B shape, at the numbers of rows in use. */
export async function matmul(options) {
  const tiny = JSON.parse(readFileSync(join(options.model, "config.json"), "utf8"));
  const products = [
    ...shapesOf(tiny, [1, 16, 64, 512], [512, 4096], 4096),
    ...shapesOf(QWEN_0_5B, [1, 16, 64, 512], [512, 2048], 64),
  ];
  const torch = await startTorch(options, "matmul", {});
  const ajet = await Worker.start(join(options.native, "ajet_bench_gemm"), ["--threads", `${THREADS}`, "--worker"]);
  const times = new Map();
  for (let round = 0; round < options.rounds; round++) {
    for (const { m, k, n, ops } of products) {
      const product = { m, k, n, seconds: SECONDS };
      for (const op of ops) {
        const ours = await ajet.call(op, product);
        const theirs = await torch.call(op, product);
        const key = `${m} × ${k} × ${n} ${op}`;
        const entry = times.get(key) ?? { ajet: [], torch: [], flops: 2 * m * k * n };
        entry.ajet.push(ours.seconds);
        entry.torch.push(theirs.seconds);
        times.set(key, entry);
      }
    }
  }
  await Promise.all([ajet.stop(), torch.stop()]);
  const { peak } = ajet.greeting;
  const rows = [...times].map(([key, entry]) => ({ key, ...entry, gain: best(entry.torch) / best(entry.ajet) }));
  const gains = rows.map(({ gain }) => gain);
  const rate = (values, flops) => number(flops / best(values) / 1e9);
  const ofMedians = geometricMean(rows.map((row) => median(row.torch) / median(row.ajet)));
  return [
    heading("Matrix products", options.command, [ajet.description, torch.description]),
    `Geometric mean ${ratio(geometricMean(gains), 1.1)}; smallest ${ratio(Math.min(...gains), 0.95)}. With medians over the`,
    `rounds in place of each side's best, the mean is ${ofMedians.toFixed(2)}.\n`,
    table(
      ["m × k × n", "ajet GF/s", "of the peak", "PyTorch GF/s", "ratio"],
      rows.map(({ key, ajet, torch, flops, gain }) => [
        key,
        rate(ajet, flops),
        `${number((100 * flops) / best(ajet) / 1e9 / peak, 2)} %`,
        rate(torch, flops),
        gain.toFixed(2),
      ]),
    ),
  ].join("\n");
}

/** y [m, n] = x [m, k] Wᵀ for q|k|v, o, gate|up, down and, up to so many rows, the LM head. */
function shapesOf(shape, inferenceRows, trainingRows, headRows) {
  const headDim = shape.head_dim ?? shape.hidden_size / shape.num_attention_heads;
  const width = shape.num_attention_heads * headDim;
  const layers = [
    [shape.hidden_size, width + 2 * shape.num_key_value_heads * headDim],
    [width, shape.hidden_size],
    [shape.hidden_size, 2 * shape.intermediate_size],
    [shape.intermediate_size, shape.hidden_size],
    [shape.hidden_size, shape.vocab_size],
  ];
  return [...new Set([...inferenceRows, ...trainingRows])].flatMap((m) =>
    layers
      .filter(([, n]) => n !== shape.vocab_size || m <= headRows)
      .map(([k, n]) => ({ m, k, n, ops: trainingRows.includes(m) ? ["forward", "dx", "dw"] : ["forward"] })),
  );
}

/**
 * Each round has a median of calls; of the rounds the best counts, for both sides: where a hypervisor puts two virtual cores
 * on one real core for a while, either side runs at half its speed.
 */
function best(times) {
  return Math.min(...times);
}
