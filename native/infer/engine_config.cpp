#include "infer/engine_config.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "infer/kv_blocks.h"
#include "infer/sampler.h"

namespace ajet {
namespace {

void expect_range(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return;
  fail(ErrorCode::invalid_argument, "[engine] Expected " + std::to_string(least) + " to " + std::to_string(most) +
                                        " for `" + name + "` but received " + std::to_string(value));
}

size_t cache_bytes(const ModelConfig& model, const StorageFormat& format, int64_t blocks) {
  return format.kv_cache_bytes(blocks, model.layers, model.kv_heads, model.head_dim);
}

}  // namespace

EngineConfig resolve(EngineConfig config, const ModelConfig& model, const StorageFormat& format) {
  const int64_t max_positions = model.max_position_embeddings;
  expect_range("kv_blocks", config.kv_blocks, 0, max_kv_blocks);
  expect_range("max_sequences", config.max_sequences, 1, 1 << 16);
  expect_range("max_batch_tokens", config.max_batch_tokens, 1, 1 << 20);
  expect_range("max_context", config.max_context, 0, max_positions);
  if (config.kv_blocks == 0) {
    const auto block_bytes = static_cast<int64_t>(cache_bytes(model, format, 1));
    expect_range("kv_bytes", config.kv_bytes, block_bytes, INT64_MAX);
    config.kv_blocks = std::min(config.kv_bytes / block_bytes, max_kv_blocks);
  }
  if (config.max_context == 0)
    config.max_context = static_cast<int32_t>(std::min(max_positions, config.kv_blocks * kv_block_tokens));
  return config;
}

EngineBytes engine_bytes(const EngineConfig& config, const ModelConfig& model, const StorageFormat& format) {
  const DType dtype = format.compute_dtype();
  return {.kv_cache = cache_bytes(model, format, config.kv_blocks),
          .hidden = static_cast<size_t>(config.max_batch_tokens * model.hidden_size * dtype_bytes(dtype)),
          .sampler = Sampler::bytes(model, dtype, config.max_sequences)};
}

}  // namespace ajet
