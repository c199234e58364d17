// The shape of a decoder-only transformer of the Qwen2, Qwen3 or Llama family.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ajet {

// rope_type "llama3": low frequencies are divided by `factor`, high ones kept, those between interpolated
// (Llama 3.1). factor 0: off.
struct Llama3RopeScaling {
  double factor = 0;
  double low_freq_factor = 0;
  double high_freq_factor = 0;
  int64_t original_max_position_embeddings = 0;
};

struct ModelConfig {
  std::string model_type;  // "qwen2", "qwen3" or "llama", as in config.json
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 0;
  float rms_norm_eps = 1e-6F;
  double rope_theta = 10000.0;
  bool tie_word_embeddings = false;
  bool qkv_bias = false;     // qwen2; llama with attention_bias
  bool output_bias = false;  // llama with attention_bias
  bool mlp_bias = false;     // llama with mlp_bias
  bool qk_norm = false;      // qwen3
  Llama3RopeScaling rope_scaling;

  int64_t parameters() const;  // trainable scalars, tied head counted once
};

// Throws invalid_argument naming the key, its value and what is supported (unknown model_type, rope_scaling,
// sliding window in use, heads not divisible by kv_heads, odd head_dim, ...).
ModelConfig parse_model_config(const std::string& config_json);
// `dtype` is "float32" or "bfloat16".
std::string model_config_to_json(const ModelConfig& config, const std::string& dtype);

// Of the rotary embedding, [head_dim / 2].
std::vector<float> rope_inverse_frequencies(const ModelConfig& config);

}  // namespace ajet
