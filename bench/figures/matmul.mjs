import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { geometricMean, heading, median, number, ratio, table } from "../report.mjs";
import { startTorch, THREADS } from "../worker.mjs";
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
  const times = new Map();
  let peak = 0;
  for (let round = 0; round < options.rounds; round++) {
    const native = runNative(options.native, products);
    for (const product of products) {
      const { m, k, n } = product;
      const theirs = await torch.call("matmul", { m, k, n, seconds: SECONDS });
      for (const op of product.ops) {
        const key = `${m} × ${k} × ${n} ${op}`;
        const entry = times.get(key) ?? { ajet: [], torch: [], flops: 2 * m * k * n };
        const ours = native.find((line) => line.op === op && line.m === m && line.k === k && line.n === n);
        peak = Math.max(peak, ours.peak_gflops);
        entry.ajet.push(ours.seconds);
        entry.torch.push(theirs[op]);
        times.set(key, entry);
      }
    }
  }
  await torch.stop();
  const rows = [...times].map(([key, entry]) => ({ key, ...entry, gain: median(entry.torch) / median(entry.ajet) }));
  const gains = rows.map(({ gain }) => gain);
  const rate = (values, flops) => `${number(flops / median(values) / 1e9)}`;
  return [
    heading("Matrix products", options.command, [
      "ajet_bench_gemm",
      torch.description,
      `FMA peak ${number(peak)} GF/s`,
    ]),
    `Geometric mean ${ratio(geometricMean(gains), 1.1)}; smallest ${ratio(Math.min(...gains), 0.95)}.\n`,
    table(
      ["m × k × n", "ajet GF/s", "of the peak", "PyTorch GF/s", "ratio"],
      rows.map(({ key, ajet, torch, flops, gain }) => [
        key,
        rate(ajet, flops),
        `${number((100 * flops) / median(ajet) / 1e9 / peak, 2)} %`,
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

/** All in one process: in its first tenths of a second the scheduler may keep both threads on one core. */
function runNative(folder, products) {
  const shapes = products.map(({ m, k, n }) => `${m},${k},${n}`);
  const args = ["--threads", `${THREADS}`, "--json", "--seconds", `${SECONDS}`, "512,512,512", ...shapes];
  const lines = `${execFileSync(join(folder, "ajet_bench_gemm"), args)}`.trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}
