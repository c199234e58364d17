// Which blocks of the KV cache are in use. Host bookkeeping only: the memory is the engine's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backend/batch_layout.h"

namespace ajet {

// Positions of a sequence stay within int32.
constexpr int64_t max_kv_blocks = INT32_MAX / (2 * kv_block_tokens);

// Blocks that so many tokens need, the last perhaps in part.
constexpr int64_t blocks_for(int64_t tokens) { return (tokens + kv_block_tokens - 1) / kv_block_tokens; }

class KvBlocks {
 public:
  explicit KvBlocks(int64_t blocks);

  int32_t allocate();  // with one reference; -1 where none is free
  void retain(int32_t block) { ++references_[static_cast<size_t>(block)]; }
  int32_t release(int32_t block);  // references left; at 0 the block is free again

  int32_t references(int32_t block) const { return references_[static_cast<size_t>(block)]; }
  int64_t free() const { return static_cast<int64_t>(free_.size()); }
  int64_t total() const { return static_cast<int64_t>(references_.size()); }

 private:
  std::vector<int32_t> free_;  // a stack, so that memory touched last is used next
  std::vector<int32_t> references_;
};

}  // namespace ajet
