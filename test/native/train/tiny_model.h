// Small Qwen3 models with weights large enough that every part of them matters.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "model/model.h"
#include "test_backend.h"

namespace ajet::test {

inline ModelConfig tiny_config(bool tied = true) {
  ModelConfig config;
  config.model_type = "qwen3";
  config.vocab_size = 13;
  config.hidden_size = 24;
  config.intermediate_size = 40;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 8;
  config.max_position_embeddings = 512;
  config.tie_word_embeddings = tied;
  config.qk_norm = true;
  return config;
}

// Adds normal noise of the given width to every weight.
inline void perturb(Model& model, double width, uint64_t seed) {
  std::vector<float> values;
  uint64_t stream = 0;
  for (const ParameterSlice& slice : model.weights().layout().slices) {
    model.weights().read(slice, values);
    for (size_t i = 0; i < values.size(); ++i) values[i] += static_cast<float>(width * normal_double(seed, i, stream));
    model.weights().write(slice, values.data());
    ++stream;
  }
  model.weights_changed();
}

inline std::shared_ptr<Model> tiny_model(uint64_t seed, bool tied = true, int threads = 1) {
  auto model = Model::random(test_backend(threads), tiny_config(tied), seed);
  perturb(*model, 0.2, seed + 1);
  return model;
}

// All of an arena's values by Hugging Face name.
inline std::vector<float> arena_values(const ParameterArena& arena) {
  std::vector<float> all, values;
  for (const ParameterSlice& slice : arena.layout().slices) {
    arena.read(slice, values);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

}  // namespace ajet::test
