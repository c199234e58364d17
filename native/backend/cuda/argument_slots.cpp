#include "backend/cuda/argument_slots.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace ajet::cuda {
namespace {
constexpr size_t least_capacity = 256;
}

void ArgumentSlots::rewind() {
  next_turn_ = 0;
  for (Slot& slot : slots_) slot.filled = false;
}

std::optional<size_t> ArgumentSlots::place(std::span<std::byte> block, const void* values, size_t bytes) {
  auto slot = std::ranges::find_if(slots_, [&](const Slot& other) {
    return other.bytes == bytes && std::memcmp(block.data() + other.offset, values, bytes) == 0;
  });
  if (slot == slots_.end()) {
    const size_t capacity = std::max(least_capacity, std::bit_ceil(bytes));
    if (block_bytes_ + capacity > block.size()) return std::nullopt;
    std::memcpy(block.data() + block_bytes_, values, bytes);
    slot = slots_.insert(slots_.end(), {block_bytes_, capacity, bytes, true});
    block_bytes_ += capacity;
  }
  turns_.push_back(static_cast<size_t>(slot - slots_.begin()));
  return slot->offset;
}

std::optional<size_t> ArgumentSlots::refill(std::span<std::byte> block, const void* values, size_t bytes) {
  if (next_turn_ == turns_.size()) return std::nullopt;
  Slot& slot = slots_[turns_[next_turn_++]];
  std::byte* place = block.data() + slot.offset;
  if (slot.filled) {  // arrays that were equal then must be so now
    if (slot.bytes != bytes || std::memcmp(place, values, bytes) != 0) return std::nullopt;
    return slot.offset;
  }
  if (bytes > slot.capacity) return std::nullopt;
  std::memcpy(place, values, bytes);
  slot.bytes = bytes;
  slot.filled = true;
  return slot.offset;
}

}  // namespace ajet::cuda
