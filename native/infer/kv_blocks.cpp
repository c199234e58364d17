#include "infer/kv_blocks.h"

#include <algorithm>
#include <numeric>

namespace ajet {

KvBlocks::KvBlocks(int64_t blocks) : free_(static_cast<size_t>(blocks)), references_(static_cast<size_t>(blocks), 0) {
  std::iota(free_.rbegin(), free_.rend(), 0);
}

int32_t KvBlocks::allocate() {
  if (free_.empty()) return -1;
  const int32_t block = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(block)] = 1;
  return block;
}

int32_t KvBlocks::release(int32_t block) {
  const int32_t left = --references_[static_cast<size_t>(block)];
  if (left == 0) free_.push_back(block);
  return left;
}

}  // namespace ajet
