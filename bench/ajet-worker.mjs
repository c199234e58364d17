/**
 * ajet's side of a comparison, through the public API: one JSON command a line on stdin, one JSON reply a line on stdout.
 * `node bench/ajet-worker.mjs update|generate '{"threads": 2, ...}'`; a command's `op` names the function that runs it.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createModel, loadModel } from "ajet";

const [task, text] = process.argv.slice(2);
const { threads, model: source, shape, batches: batchFile } = JSON.parse(text);
const model = await (shape
  ? createModel(shape, 1n, { threads, device: "cpu" })
  : loadModel(source, { threads, device: "cpu" }));
const operations = { save, ...(task === "update" ? updating() : generating()) };

reply({ ready: `ajet, ${model.deviceDescription}` });
for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...command } = JSON.parse(line);
  reply(await operations[op](command));
}
await model.dispose();

function reply(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

async function save({ folder }) {
  await model.save(folder);
  return {};
}

function updating() {
  let batches = [];
  let trainer;

  const read = () => {
    if (batches.length === 0 && batchFile) batches = JSON.parse(readFileSync(batchFile, "utf8")).map(typed);
    return batches;
  };

  /** One update, the conversion of its calls included. */
  async function step({ batch }) {
    // A step changes no weight visibly, so that every repeat does the same work.
    trainer ??= await model.createTrainer({ learningRate: 1e-12 });
    const input = read()[batch];
    const started = performance.now();
    const stats = await trainer.step(input, { preset: "ajet" });
    const { forwardSeconds, backwardSeconds, optimizerSeconds } = stats;
    const { loss, gradNorm, rows, entries, tokensTree, tokensTrained, tokensUnshared } = stats;
    const seconds = (performance.now() - started) / 1000;
    const parts = { forwardSeconds, backwardSeconds, optimizerSeconds };
    return { seconds, parts, loss, gradNorm, rows, entries, tokensTree, tokensTrained, tokensUnshared };
  }

  /** Leaves (1 - beta1) times the gradient as the first moment in a folder. */
  async function gradients({ batch, folder }) {
    const checked = await model.createTrainer({ learningRate: 1e-12, maxGradNorm: 0 });
    const { loss, gradNorm } = await checked.step(read()[batch], { preset: "ajet" });
    await checked.saveState(folder);
    await checked.dispose();
    return { loss, gradNorm };
  }

  return { step, gradients };
}

function typed({ calls, rewards, groups }) {
  return {
    calls: calls.map(({ episode, prompt, sampled, logprobs, temperature }) => ({
      episode,
      prompt: Int32Array.from(prompt),
      sampled: Int32Array.from(sampled),
      logprobs: Float32Array.from(logprobs),
      temperature,
    })),
    rewards: Float64Array.from(rewards),
    groups: Int32Array.from(groups),
  };
}

function generating() {
  let engine;

  /** All prompts at once, each to its full length. */
  async function generate({ prompts, tokens }) {
    engine ??= await model.createEngine({ maxSequences: 64 });
    await engine.resetPrefixCache();
    const started = performance.now();
    const results = await Promise.all(
      prompts.map((prompt, i) => engine.generate(prompt, { maxTokens: tokens, temperature: 1, seed: BigInt(i) })),
    );
    const seconds = (performance.now() - started) / 1000;
    return { seconds, tokens: results.reduce((sum, [completion]) => sum + completion.tokens.length, 0) };
  }

  return { generate };
}
