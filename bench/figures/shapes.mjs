/** Model shapes of the comparisons. */

/** Of Qwen2.5-0.5B, as in its config.json. */
export const QWEN_0_5B = {
  architectures: ["Qwen2ForCausalLM"],
  model_type: "qwen2",
  vocab_size: 151936,
  hidden_size: 896,
  intermediate_size: 4864,
  num_hidden_layers: 24,
  num_attention_heads: 14,
  num_key_value_heads: 2,
  max_position_embeddings: 32768,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000,
  tie_word_embeddings: true,
};

/** Multiply-adds of the matrix products for one token, LM head apart. */
export function layerWeights(shape) {
  const headDim = shape.head_dim ?? shape.hidden_size / shape.num_attention_heads;
  const attention = 2 * (shape.num_attention_heads + shape.num_key_value_heads) * headDim * shape.hidden_size;
  return shape.num_hidden_layers * (attention + 3 * shape.intermediate_size * shape.hidden_size);
}

export function headWeights(shape) {
  return shape.vocab_size * shape.hidden_size;
}

/** Multiply-adds of attention for one token that sees `context` tokens. */
export function attentionProducts(shape, context) {
  const headDim = shape.head_dim ?? shape.hidden_size / shape.num_attention_heads;
  return shape.num_hidden_layers * 2 * shape.num_attention_heads * headDim * context;
}
