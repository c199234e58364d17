#include "backend/cuda/host_ring.h"

namespace ajet::cuda {

HostRing::HostRing(Stream& stream, size_t part_bytes) : stream_(stream), part_bytes_(part_bytes) {
  void* data = nullptr;
  AJET_CUDA(cudaHostAlloc(&data, parts * part_bytes, cudaHostAllocDefault));
  data_ = static_cast<char*>(data);
}

HostRing::~HostRing() {
  stream_.drain();
  static_cast<void>(cudaFreeHost(data_));
}

size_t HostRing::take(size_t bytes) {
  constexpr size_t alignment = 256;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  if (used_ + rounded > part_bytes_) {
    passed_[turn_ % parts].record(stream_);
    ++turn_;
    passed_[turn_ % parts].synchronize();
    used_ = 0;
  }
  const size_t offset = turn_ % parts * part_bytes_ + used_;
  used_ += rounded;
  return offset;
}

}  // namespace ajet::cuda
