// Copies between pageable host memory and the card, through pinned memory.
#pragma once

#include <cstddef>

#include "backend/cuda/host_ring.h"

namespace ajet::cuda {

class Transfers {
 public:
  explicit Transfers(Stream& stream);

  // Returns when `host` has been read; the copies are queued on the stream.
  void upload(void* device, const void* host, size_t bytes);
  // Returns when `host` holds the bytes, after all work queued before.
  void download(void* host, const void* device, size_t bytes);

 private:
  Stream& stream_;
  HostRing ring_;
};

}  // namespace ajet::cuda
