import { createModel, type Model, type ModelConfigJson } from "../../src/native/model.js";

/** For the harness's tokenizer. Large enough to learn a few replies by heart. */
const SHAPE: ModelConfigJson = {
  model_type: "qwen3",
  vocab_size: 448,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  max_position_embeddings: 1024,
  tie_word_embeddings: true,
};

/** A model of 0.1 million random parameters, unless its shape is changed. */
export function randomModel(seed: bigint, shape: Partial<ModelConfigJson> = {}, threads = 2): Promise<Model> {
  return createModel({ ...SHAPE, ...shape } as ModelConfigJson, seed, { threads });
}
