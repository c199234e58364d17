// Shapes of a published model, for what is computed from shapes alone.
#pragma once

#include "model/model_config.h"

namespace ajet::test {

// config.json of Qwen/Qwen3-0.6B.
inline ModelConfig qwen3_0_6b() {
  ModelConfig config;
  config.model_type = "qwen3";
  config.vocab_size = 151936;
  config.hidden_size = 1024;
  config.intermediate_size = 3072;
  config.layers = 28;
  config.heads = 16;
  config.kv_heads = 8;
  config.head_dim = 128;
  config.max_position_embeddings = 40960;
  config.tie_word_embeddings = true;
  config.qk_norm = true;
  return config;
}

}  // namespace ajet::test
