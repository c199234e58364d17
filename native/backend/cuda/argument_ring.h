// Host arrays that kernels read (ids, positions, rows, layouts): copied to pinned memory, then to the card, in stream
// order. Arrays that were just sent are found again: a forward pass passes the same positions for every layer. What a
// sink of the stream holds (kernel_launch.h) has its arrays there.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "backend/cuda/device_arena.h"
#include "backend/cuda/host_ring.h"

namespace ajet::cuda {

class ArgumentRing {
 public:
  ArgumentRing(Stream& stream, DeviceArena& arena);
  ~ArgumentRing();
  ArgumentRing(const ArgumentRing&) = delete;
  ArgumentRing& operator=(const ArgumentRing&) = delete;

  // A device copy at a multiple of 256, for kernels that are launched before eight more arrays are sent. `values` may
  // change as soon as this returns.
  template <typename T>
  const T* send(std::span<const T> values) {
    return static_cast<const T*>(send_bytes(values.data(), values.size_bytes()));
  }

 private:
  struct Ring {
    std::unique_ptr<HostRing> host;
    char* device = nullptr;  // as large as the host's, same offsets
  };
  struct Sent {
    size_t offset = 0, bytes = 0, turn = 0;
  };
  const void* send_bytes(const void* values, size_t bytes);
  void add_ring(size_t part_bytes);

  Stream& stream_;
  DeviceArena& arena_;
  std::vector<Ring> rings_;  // the last is in use; the others were too small, and kernels may still read them
  std::array<Sent, 8> recent_{};
  size_t next_recent_ = 0;
};

}  // namespace ajet::cuda
