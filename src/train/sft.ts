import type { Trainer } from "../native/trainer.js";
import type { TrainBatch, TrainStats } from "../native/types.js";
import { Draw } from "../tasks/draw.js";
import type { SupervisedCall } from "./sft-data.js";

/** How {@link runSft} goes through its data. */
export interface SftOptions {
  /** Conversations a step. */
  batchSize: number;
  epochs: number;
  seed: number;
  onStep?: (step: number, steps: number, stats: TrainStats) => void;
  /** Its reason is what {@link runSft} throws; the weights are those of the last finished step then. */
  signal?: AbortSignal;
}

/** Steps that {@link runSft} will do: the last, smaller batch of an epoch counts. */
export function sftSteps(conversations: number, options: Pick<SftOptions, "batchSize" | "epochs">): number {
  return Math.ceil(conversations / options.batchSize) * options.epochs;
}

/**
 * Supervised fine-tuning: the mean cross entropy over the assistant's tokens of a batch. Conversations are shuffled anew
 * for each epoch, by the seed.
 */
export async function runSft(
  trainer: Trainer,
  conversations: readonly SupervisedCall[][],
  options: SftOptions,
): Promise<void> {
  const steps = sftSteps(conversations.length, options);
  let step = 0;
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    const order = new Draw(`sft/${options.seed}/${epoch}`).shuffle(conversations);
    for (let first = 0; first < order.length; first += options.batchSize) {
      options.signal?.throwIfAborted();
      const batch = batchOf(order.slice(first, first + options.batchSize));
      const stats = await trainer.step(batch, { preset: "sft" }, options.signal ? { signal: options.signal } : {});
      options.onStep?.(++step, steps, stats);
    }
  }
}

function batchOf(conversations: readonly SupervisedCall[][]): TrainBatch {
  return {
    calls: conversations.flatMap((calls, episode) =>
      calls.map(({ prompt, sampled }) => ({ episode, prompt, sampled, logprobs: new Float32Array(0), temperature: 1 })),
    ),
  };
}
