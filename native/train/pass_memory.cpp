#include "train/pass_memory.h"

#include <algorithm>

#include "model/activations.h"
#include "model/path_cache.h"
#include "tensor/section.h"
#include "train/head_pass.h"

namespace ajet {

PassShape pass_shape(std::span<const TreePart> parts, int64_t max_batch_tokens, int64_t chunk_rows) {
  PassShape shape;
  for (const TreePart& part : parts) {
    const auto rows = static_cast<int64_t>(part.tokens.size()), entries = static_cast<int64_t>(part.entry_index.size());
    shape.tokens = std::max(shape.tokens, std::min(rows, max_batch_tokens));
    if (rows > max_batch_tokens) shape.path_rows = std::max(shape.path_rows, rows);
    shape.head_rows = std::max(shape.head_rows, std::min(entries, chunk_rows));
  }
  return shape;
}

PassBytes pass_bytes(const ModelConfig& config, DType compute_dtype, int64_t parameters, const PassShape& shape) {
  const bool backward = shape.keep != Keep::nothing;
  const size_t head = HeadPass::bytes(config.hidden_size, config.vocab_size, compute_dtype, shape.head_rows);
  PassBytes bytes;
  bytes.activations = aligned_bytes(
      Activations::Data::most_bytes(config, compute_dtype, shape.tokens, {.keep = shape.keep, .lent_bytes = head}));
  bytes.hidden = section_bytes(shape.tokens, config.hidden_size, compute_dtype);
  bytes.path_cache = aligned_bytes(PathCache::bytes(config, compute_dtype, shape.path_rows, backward));
  if (!backward) return bytes;
  bytes.gradients = section_bytes(1, parameters, DType::f32);
  bytes.dhidden = section_bytes(shape.tokens, config.hidden_size, DType::f32);
  return bytes;
}

PassMemory::PassMemory(void* memory, const PassBytes& bytes) {
  auto* next = static_cast<char*>(memory);
  const auto take = [&next](size_t count) {
    if (count == 0) return Buffer{};
    Buffer section = Buffer::within(nullptr, next, count);
    next += count;
    return section;
  };
  gradients = take(bytes.gradients);
  activations = take(bytes.activations);
  path_cache = take(bytes.path_cache);
  hidden = take(bytes.hidden);
  dhidden = take(bytes.dhidden);
}

}  // namespace ajet
