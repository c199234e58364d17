import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { newestRun, recordedBatch, recordedSteps, syntheticBatch } from "../batches.mjs";
import { heading, median, number, ratio, spread, table } from "../report.mjs";
import { startAjet, startTorch } from "../worker.mjs";
import { fmaPeak } from "./fma-peak.mjs";
import { headWeights, layerWeights, QWEN_0_5B } from "./shapes.mjs";

const STEPS = 20;

/** Steps of a tutorial run at equal distances, update by update. */
export async function tutorialUpdate(options) {
  const run = options.run ?? newestRun("saved_experiments");
  const { log, steps: recorded } = await recordedSteps(run);
  const every = Math.max(1, Math.floor(recorded.length / STEPS));
  const chosen = recorded.filter((_, i) => i % every === 0).slice(0, STEPS);
  const batches = (await Promise.all(chosen.map((step) => recordedBatch(log, step)))).filter(trainable);
  const file = join(options.scratch, "batches.json");
  writeFileSync(file, JSON.stringify(batches));
  const ajet = await startAjet("update", { model: options.model, batches: file });
  const { microRows: micro_rows, compile } = options;
  const torch = await startTorch(options, "update", { model: options.model, batches: file, micro_rows, compile });
  const agreement = await compareGradients(ajet, torch, options.scratch);

  const rounds = { ajet: [], torch: [] };
  let steps;
  for (let round = -1; round < options.rounds; round++) {
    const ajetSteps = await pass(ajet, batches.length);
    const torchSteps = await pass(torch, batches.length);
    if (round < 0) continue; // warm-up
    steps = ajetSteps.map((step, i) => ({ ...step, ...{ torch: torchSteps[i] } }));
    rounds.ajet.push(milliseconds(ajetSteps));
    rounds.torch.push(milliseconds(torchSteps));
  }
  await Promise.all([ajet.stop(), torch.stop()]);
  const total = (key) => steps.reduce((sum, step) => sum + step[key], 0);
  const parts = (key) => number(1000 * steps.reduce((sum, step) => sum + step.parts[key], 0));
  return [
    heading("GRPO update on the tutorial's batches", options.command, [ajet.description, torch.description]),
    `${batches.length} updates (of ${recorded.length} steps of the run; those with a group of unequal rewards): ${number(total("rows"), 4)} rows,`,
    `${number(total("tokensUnshared"), 6)} tokens in rows, ${number(total("tokensTree"), 6)} unique; PyTorch pads to`,
    `${number(
      steps.reduce((sum, step) => sum + step.torch.padded, 0),
      6,
    )}. ${agreement}\n`,
    table(
      ["", "ms for all updates: median (min–max)"],
      [
        ["ajet", spread(rounds.ajet)],
        ["PyTorch", spread(rounds.torch)],
        ["ratio", ratio(median(rounds.torch) / median(rounds.ajet), 6)],
      ],
    ),
    `\najet's last round: forward ${parts("forwardSeconds")} ms, backward ${parts("backwardSeconds")} ms, AdamW ${parts("optimizerSeconds")} ms.`,
  ].join("\n");
}

/** No token shared: four sequences of 512 tokens, the latter half sampled. Processes in turn: both do not fit in memory. */
export async function unsharedUpdate(options) {
  const sequence = { vocab: QWEN_0_5B.vocab_size, group: 4, turns: 1, prompt: 256, sampled: 256, shared: false };
  const file = join(options.scratch, "batches.json");
  const model = join(options.scratch, "model");
  writeFileSync(file, JSON.stringify([syntheticBatch(sequence)]));
  const rounds = { ajet: [], torch: [] };
  const descriptions = new Set();
  let agreement;
  let last;
  for (let round = 0; round < options.rounds; round++) {
    const ajet = await startAjet("update", { shape: QWEN_0_5B, batches: file });
    if (round === 0) await ajet.call("save", { folder: model });
    const gradients = round === 0 && (await ajet.call("gradients", { batch: 0, folder: options.scratch }));
    last = await timedStep(ajet, rounds.ajet);
    await ajet.stop();

    const micro_rows = Math.min(options.microRows, 4);
    const torch = await startTorch(options, "update", { model, batches: file, micro_rows, compile: options.compile });
    if (gradients)
      agreement = describeAgreement(gradients, await torch.call("gradients", { batch: 0, folder: options.scratch }));
    await timedStep(torch, rounds.torch);
    await torch.stop();
    descriptions.add(ajet.description).add(torch.description);
  }
  const work = 6 * (layerWeights(QWEN_0_5B) * 4 * 511 + headWeights(QWEN_0_5B) * 4 * 256);
  const peak = await fmaPeak(options.native);
  const share = (values) =>
    `${number(work / median(values) / 1e6)} GF/s, ${number((100 * work * 1000) / median(values) / peak)} % of the FMA peak`;
  const parts = Object.entries(last.parts).map(([name, value]) => `${name.replace("Seconds", "")} ${number(value)} s`);
  return [
    heading("Update without sharing, shape of Qwen2.5-0.5B, 4 sequences of 512 tokens", options.command, [
      ...descriptions,
    ]),
    `${agreement} Work is counted without attention's products. ajet's last update: ${parts.join(", ")}.\n`,
    table(
      ["", "ms: median (min–max)", "rate"],
      [
        ["ajet", spread(rounds.ajet, 4), share(rounds.ajet)],
        ["PyTorch", spread(rounds.torch, 4), share(rounds.torch)],
        ["ratio", ratio(median(rounds.torch) / median(rounds.ajet), 1.3), ""],
      ],
    ),
  ].join("\n");
}

/** One update after a warm-up. */
async function timedStep(worker, times) {
  await worker.call("step", { batch: 0 });
  const step = await worker.call("step", { batch: 0 });
  times.push(step.seconds * 1000);
  return step;
}

async function pass(worker, batches) {
  const steps = [];
  for (let batch = 0; batch < batches; batch++) steps.push(await worker.call("step", { batch }));
  return steps;
}

function milliseconds(steps) {
  return 1000 * steps.reduce((sum, step) => sum + step.seconds, 0);
}

function trainable({ rewards, groups }) {
  return rewards.some((reward, i) => reward !== rewards[groups.indexOf(groups[i])]);
}

async function compareGradients(ajet, torch, folder) {
  const theirs = await ajet.call("gradients", { batch: 0, folder });
  return describeAgreement(theirs, await torch.call("gradients", { batch: 0, folder }));
}

function describeAgreement(ajet, torch) {
  const loss = Math.abs(ajet.loss - torch.loss);
  const norm = Math.abs(ajet.gradNorm - torch.gradNorm) / torch.gradNorm;
  return [
    `The first batch's losses differ by ${loss.toExponential(1)} (${number(torch.loss)}), the gradients by`,
    `${torch.relativeError.toExponential(1)} relative to their norm ${number(torch.gradNorm)} (the norms by ${norm.toExponential(1)}).`,
  ].join(" ");
}
