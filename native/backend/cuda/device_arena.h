// Device memory in segments that are kept and handed out again: one stream orders all work, so what is freed may be
// reused at once. Best fit, neighbours merge, addresses are multiples of 256.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <utility>

namespace ajet::cuda {

class DeviceArena {
 public:
  // limit_bytes 0: as much as the card gives.
  DeviceArena(int device, size_t limit_bytes);
  ~DeviceArena();
  DeviceArena(const DeviceArena&) = delete;
  DeviceArena& operator=(const DeviceArena&) = delete;

  // Contents undefined. Throws out_of_memory with the size asked for.
  void* allocate(size_t bytes);
  void free(void* data, size_t bytes) noexcept;
  // Where the segment begins that an allocation lies in: what the driver has given.
  char* segment_of(const void* data) const;
  // Called where memory is short, before an allocation fails: may free allocations of this arena.
  void set_relief(std::function<void()> relief) { relief_ = std::move(relief); }
  // Gives segments that nobody uses back to the card.
  void release_unused() noexcept;

  size_t active_bytes() const { return active_bytes_; }
  size_t peak_bytes() const { return peak_bytes_; }
  size_t limit_bytes() const { return limit_bytes_; }        // 0: none
  size_t reserved_bytes() const { return reserved_bytes_; }  // what the card has given
  // Of those, what nobody uses, and what the card has left; up to the limit.
  size_t available_bytes() const;

 private:
  struct Block {
    size_t bytes;
    char* segment;  // where the segment that it lies in begins
    bool free;
  };
  using Blocks = std::map<char*, Block>;

  Blocks::iterator find_free(size_t bytes);
  Blocks::iterator add_segment(size_t bytes);
  void insert_free(Blocks::iterator block);
  void remove_free(Blocks::iterator block);
  bool is_over_limit(size_t bytes) const { return limit_bytes_ > 0 && active_bytes_ + bytes > limit_bytes_; }
  [[noreturn]] void fail_allocation(size_t bytes) const;

  Blocks blocks_;                            // by address
  std::set<std::pair<size_t, char*>> free_;  // by size
  int device_;
  size_t limit_bytes_;
  std::function<void()> relief_ = [] {};
  size_t active_bytes_ = 0, peak_bytes_ = 0, reserved_bytes_ = 0;
};

}  // namespace ajet::cuda
