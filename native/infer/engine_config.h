// What an engine is asked for, and how much memory that takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "backend/storage_format.h"
#include "model/model_config.h"

namespace ajet {

struct EngineConfig {
  int64_t kv_blocks = 0;           // 0: what fits `kv_bytes`
  int64_t kv_bytes = 512LL << 20;  // budget of the cache where kv_blocks is 0
  int32_t max_sequences = 64;      // choices decoded together
  int32_t max_batch_tokens = 512;  // rows of one forward pass, prefill chunks included
  int32_t max_context = 0;         // prompt + completion; 0: what the model's positions and the cache both hold
  // Whether a pass is queued before the tokens of the one before it are here. Unset: where the device runs beside the
  // host. Tokens, log-probs and all else are the same bits. Never over another process' weights, which are read while
  // that process waits.
  std::optional<bool> pipelined = std::nullopt;
  bool recorded = true;  // decode passes through Backend::run_recorded: CUDA graphs. AJET_CUDA_GRAPHS=0: nowhere.
};

// Fills in what is left to the engine. Throws invalid_argument where a value is out of its range.
EngineConfig resolve(EngineConfig config, const ModelConfig& model, const StorageFormat& format);

// Bytes of an engine's buffers; of a resolved configuration.
struct EngineBytes {
  size_t kv_cache = 0;
  size_t hidden = 0;   // of one pass' rows
  size_t sampler = 0;  // logits and hidden states of the rows that are drawn from at once
};
EngineBytes engine_bytes(const EngineConfig& config, const ModelConfig& model, const StorageFormat& format);

}  // namespace ajet
