import type { Engine } from "../../src/native/engine.js";
import { createModel, type Model, type ModelConfigJson } from "../../src/native/model.js";
import type { TrainBatch, TrainCall } from "../../src/native/types.js";

/** Small enough that a token costs microseconds; a context long enough that a request can be caught in flight. */
export const TINY: ModelConfigJson = {
  model_type: "qwen2",
  vocab_size: 96,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 65536,
  tie_word_embeddings: true,
};

/** Bytes of KV cache that hold TINY's whole context. */
export const KV_BYTES = 32 << 20;

export function tinyModel(seed = 1n, config: Partial<ModelConfigJson> = {}): Promise<Model> {
  return createModel({ ...TINY, ...config } as ModelConfigJson, seed, { threads: 2 });
}

/** Samples `repeat` episodes of each prompt, rewarded by the parity of their tokens, as an on-policy batch. */
export async function sampleBatch(
  engine: Engine,
  prompts: number[][],
  repeat: number,
  tokens: number,
): Promise<TrainBatch> {
  const completions = await Promise.all(
    prompts.map((prompt, i) => engine.generate(prompt, { maxTokens: tokens, choices: repeat, seed: BigInt(i + 1) })),
  );
  const calls: TrainCall[] = completions.flatMap((choices, i) =>
    choices.map((choice, j) => ({
      episode: i * repeat + j,
      prompt: Int32Array.from(prompts[i] as number[]),
      sampled: choice.tokens,
      logprobs: choice.logprobs,
      temperature: 1,
    })),
  );
  return {
    calls,
    rewards: Float64Array.from(calls, (call) => call.sampled.filter((token) => token % 2 === 0).length / tokens),
    groups: Int32Array.from(calls, (call) => Math.floor(call.episode / repeat)),
  };
}

/** Resolves when `condition` holds; the test's own time limit is the only clock. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}
