#include "work.h"

namespace ajet::bench {

ForwardWork group_work(int64_t prompt, int64_t response, int64_t responses) {
  const auto p = static_cast<double>(prompt), computed = static_cast<double>(response - 1);
  const auto group = static_cast<double>(responses);
  // A token at position i sees i + 1 keys.
  const double response_pairs = computed * p + computed * (computed + 1) / 2;
  return {p + group * computed, p * (p + 1) / 2 + group * response_pairs, 1 + group * computed};
}

double forward_flops(const ModelConfig& shape, const ForwardWork& work) {
  const auto width = static_cast<double>(shape.head_dim), heads = static_cast<double>(shape.heads);
  const auto kv_heads = static_cast<double>(shape.kv_heads), layers = static_cast<double>(shape.layers);
  const auto hidden = static_cast<double>(shape.hidden_size), inner = static_cast<double>(shape.intermediate_size);
  const double layer_weights = 2 * hidden * width * (heads + kv_heads) + 3 * hidden * inner;
  const double head_weights = hidden * static_cast<double>(shape.vocab_size);
  return 2 * layers * layer_weights * work.tokens + 2 * head_weights * work.head_rows +
         4 * layers * heads * width * work.pairs;
}

double update_flops(const ModelConfig& shape, const ForwardWork& work) { return 3 * forward_flops(shape, work); }

double kv_bytes_per_token(const ModelConfig& shape, int64_t element_bytes) {
  return 2.0 * static_cast<double>(shape.layers * shape.kv_heads * shape.head_dim * element_bytes);
}

}  // namespace ajet::bench
