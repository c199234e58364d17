// Where the host arrays of recorded work lie in a block of memory: each at the same place every time, with room to grow
// to the next power of two. Arrays that are equal when they are placed share a place, as ArgumentRing's do.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace ajet::cuda {

class ArgumentSlots {
 public:
  // Before the work runs: no place holds anything.
  void rewind();
  // Copies an array to a new place, or finds it; its offset in the block. Null: the block is too small.
  std::optional<size_t> place(std::span<std::byte> block, const void* values, size_t bytes);
  // Copies an array to the place that the one in its turn had. Null: the arrays are not the same as they were, but for
  // their contents.
  std::optional<size_t> refill(std::span<std::byte> block, const void* values, size_t bytes);

  size_t block_bytes() const { return block_bytes_; }  // of all places

 private:
  struct Slot {
    size_t offset, capacity;
    size_t bytes;  // that it holds
    bool filled;
  };
  std::vector<Slot> slots_;
  std::vector<size_t> turns_;  // the slot of each array, in the order in which they come
  size_t next_turn_ = 0;
  size_t block_bytes_ = 0;
};

}  // namespace ajet::cuda
