// Copies between the host and the card, through pinned memory.
#pragma once

#include <cstddef>

#include "backend/backend.h"
#include "backend/cuda/host_ring.h"

namespace ajet::cuda {

// From and to pageable memory.
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

// Into pinned memory of its own.
class PinnedReadback final : public Readback {
 public:
  PinnedReadback(Stream& stream, size_t max_bytes);
  ~PinnedReadback() override;
  PinnedReadback(const PinnedReadback&) = delete;
  PinnedReadback& operator=(const PinnedReadback&) = delete;
  void start(const void* device, size_t bytes) override;
  const void* wait() override;

 private:
  Stream& stream_;
  void* pinned_ = nullptr;
  Event arrived_;
};

}  // namespace ajet::cuda
