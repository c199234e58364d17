import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { syntheticBatch } from "../batches.mjs";
import { heading, median, number, table } from "../report.mjs";
import { startAjet, startTorch } from "../worker.mjs";

const GROUPS = [2, 4, 8, 16, 32, 64];
const TURNS = [1, 2, 4, 8, 16];

/** One group of episodes on ajet-tiny: a prompt of 192 tokens, and per turn 32 sampled and 32 observed tokens. */
export async function sharing(options) {
  const { vocab_size: vocab } = JSON.parse(readFileSync(join(options.model, "config.json"), "utf8"));
  const cases = GROUPS.flatMap((group) => TURNS.map((turns) => ({ group, turns })));
  const sizes = { vocab, prompt: 192, sampled: 32, observation: 32 };
  const file = join(options.scratch, "batches.json");
  writeFileSync(file, JSON.stringify(cases.map((size) => syntheticBatch({ ...sizes, ...size }))));
  const ajet = await startAjet("update", { model: options.model, batches: file });
  const torch = await startTorch(options, "update", {
    model: options.model,
    batches: file,
    micro_rows: options.microRows,
  });
  await torch.call("step", { batch: cases.length - 1 }); // warm-up: the largest
  const rows = [];
  for (const [batch, { group, turns }] of cases.entries()) {
    const times = { ajet: [], torch: [] };
    let stats = await ajet.call("step", { batch }); // warm-up
    for (let round = 0; round < options.rounds; round++) {
      stats = await ajet.call("step", { batch });
      times.ajet.push(1000 * stats.seconds);
      times.torch.push(1000 * (await torch.call("step", { batch })).seconds);
    }
    const [ours, theirs] = [median(times.ajet), median(times.torch)];
    rows.push([
      group,
      turns,
      stats.tokensUnshared,
      stats.tokensTree,
      number(ours),
      number((1000 * ours) / stats.tokensTree),
      number(theirs),
      (theirs / ours).toFixed(1),
    ]);
  }
  await Promise.all([ajet.stop(), torch.stop()]);
  const head = ["group", "turns", "tokens in rows", "unique", "ajet ms", "µs a unique token", "PyTorch ms", "ratio"];
  return [
    heading("Cost of an update by unique tokens", options.command, [ajet.description, torch.description]),
    "One group on ajet-tiny: a shared prompt of 192 tokens; each turn 32 sampled tokens and 32 of the environment's.\n",
    table(head, rows),
  ].join("\n");
}
