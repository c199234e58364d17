/** The sizes of a small Qwen3 model. */
export interface ModelSizes {
  vocabulary: number;
  layers: number;
  hidden: number;
  intermediate: number;
  heads: number;
  kvHeads: number;
}

/** `config.json` of a small Qwen3 model, before its training. */
export function modelConfig(sizes: ModelSizes): object {
  return {
    architectures: ["Qwen3ForCausalLM"],
    attention_bias: false,
    head_dim: 32,
    hidden_act: "silu",
    hidden_size: sizes.hidden,
    initializer_range: 0.02,
    intermediate_size: sizes.intermediate,
    max_position_embeddings: 2048,
    model_type: "qwen3",
    num_attention_heads: sizes.heads,
    num_hidden_layers: sizes.layers,
    num_key_value_heads: sizes.kvHeads,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    tie_word_embeddings: true,
    torch_dtype: "float32",
    use_sliding_window: false,
    vocab_size: sizes.vocabulary,
  };
}
