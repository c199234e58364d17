// Updates, by the card, of arrays that lie in host memory: chunks of them are copied in on one stream, updated there on
// the backend's own, and copied out on a third. Three slots take turns, so that all three are at work together.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>

#include "backend/cuda/device_arena.h"
#include "backend/cuda/stream.h"

namespace ajet::cuda {

class HostStaging {
 public:
  static constexpr size_t most_arrays = 3;  // that are updated together

  // Takes its slots from the arena now: no update fails for lack of them.
  HostStaging(int device, Stream& compute, DeviceArena& arena, int64_t chunk_elements);
  ~HostStaging();
  HostStaging(const HostStaging&) = delete;
  HostStaging& operator=(const HostStaging&) = delete;

  // Queues on the compute stream what changes one chunk: staged[i] is the card's copy of array i's elements
  // [first, first + count).
  using Update = std::function<void(std::span<float* const> staged, int64_t first, int64_t count)>;

  // In the order of the compute stream: all that is queued on it before begin() sees the arrays as they were, all
  // behind end() as they are then. Arrays of different run()s in between must not overlap.
  void begin();
  void run(std::span<float* const> arrays, int64_t elements, const Update& update);
  void end();
  // Waits for all copies; where an error keeps end() from being reached.
  void drain() noexcept;

 private:
  struct Slot {
    std::array<float*, most_arrays> arrays;
    Event filled, updated, emptied;
  };
  static constexpr size_t slot_count = 3;
  size_t bytes() const { return slot_count * most_arrays * static_cast<size_t>(chunk_elements_) * sizeof(float); }

  Stream& compute_;
  DeviceArena& arena_;
  int64_t chunk_elements_;
  Stream in_, out_;
  Event ready_, done_;
  std::array<Slot, slot_count> slots_;
  size_t next_slot_ = 0;
  float* data_ = nullptr;
};

}  // namespace ajet::cuda
