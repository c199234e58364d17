#include "shapes.h"

#include <map>

#include "base/error.h"

namespace ajet::bench {
namespace {

// What all four have in common.
ModelConfig qwen(const char* family, int64_t vocab, int64_t hidden, int64_t intermediate, int64_t layers) {
  ModelConfig shape;
  shape.model_type = family;
  shape.vocab_size = vocab;
  shape.hidden_size = hidden;
  shape.intermediate_size = intermediate;
  shape.layers = layers;
  shape.head_dim = 128;
  shape.max_position_embeddings = 32768;
  shape.rope_theta = 1e6;
  shape.tie_word_embeddings = true;
  shape.qk_norm = shape.model_type == "qwen3";
  shape.qkv_bias = shape.model_type == "qwen2";
  return shape;
}

ModelConfig with_heads(ModelConfig shape, int64_t heads, int64_t kv_heads, int64_t head_dim = 128) {
  shape.heads = heads;
  shape.kv_heads = kv_heads;
  shape.head_dim = head_dim;
  return shape;
}

}  // namespace

ModelConfig model_shape(const std::string& name) {
  static const std::map<std::string, ModelConfig> shapes{
      {"qwen3-0.6b", with_heads(qwen("qwen3", 151936, 1024, 3072, 28), 16, 8)},
      {"qwen2.5-1.5b", with_heads(qwen("qwen2", 151936, 1536, 8960, 28), 12, 2)},
      {"small-qwen3", with_heads(qwen("qwen3", 512, 64, 96, 2), 4, 2, 32)},
      {"small-qwen2", with_heads(qwen("qwen2", 512, 64, 128, 2), 4, 2, 16)},
  };
  const auto found = shapes.find(name);
  if (found != shapes.end()) return found->second;
  std::string names;
  for (const auto& [known, shape] : shapes) names += (names.empty() ? "" : ", ") + known;
  fail(ErrorCode::invalid_argument, "[bench] Expected one of " + names + " but received \"" + name + '"');
}

}  // namespace ajet::bench
