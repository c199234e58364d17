// Pinned host memory that the card copies from while the host fills the next part. Four parts take turns; a part is
// filled again once the card has passed the event at its end.
#pragma once

#include <array>
#include <cstddef>

#include "backend/cuda/stream.h"

namespace ajet::cuda {

class HostRing {
 public:
  HostRing(Stream& stream, size_t part_bytes);
  ~HostRing();
  HostRing(const HostRing&) = delete;
  HostRing& operator=(const HostRing&) = delete;

  static constexpr size_t parts = 4;

  size_t part_bytes() const { return part_bytes_; }
  char* data() const { return data_; }
  // Offset of `bytes` (at most a part) to fill now, to be queued for copying before the next call; a multiple of 256.
  size_t take(size_t bytes);
  // Counts the times that a part was begun: memory taken in turn t is valid until turn t + parts - 1 begins.
  size_t turn() const { return turn_; }

 private:
  Stream& stream_;
  size_t part_bytes_;
  char* data_ = nullptr;
  size_t used_ = 0;  // of the part at hand
  size_t turn_ = 0;
  std::array<Event, parts> passed_;
};

}  // namespace ajet::cuda
