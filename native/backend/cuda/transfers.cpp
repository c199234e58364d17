#include "backend/cuda/transfers.h"

#include <algorithm>
#include <cstring>

namespace ajet::cuda {
namespace {
constexpr size_t part_bytes = size_t{4} << 20;
}

Transfers::Transfers(Stream& stream) : stream_(stream), ring_(stream, part_bytes) {}

void Transfers::upload(void* device, const void* host, size_t bytes) {
  for (size_t done = 0; done < bytes; done += part_bytes) {
    const size_t count = std::min(part_bytes, bytes - done);
    char* pinned = ring_.data() + ring_.take(count);
    std::memcpy(pinned, static_cast<const char*>(host) + done, count);
    char* to = static_cast<char*>(device) + done;
    AJET_CUDA(cudaMemcpyAsync(to, pinned, count, cudaMemcpyDefault, stream_.handle()));
  }
}

// As many parts as the ring has are under way together.
void Transfers::download(void* host, const void* device, size_t bytes) {
  struct Part {
    const char* pinned;
    size_t begin, count;
  };
  for (size_t done = 0; done < bytes;) {
    Part parts[HostRing::parts];
    size_t taken = 0;
    for (; taken < HostRing::parts && done < bytes; ++taken) {
      const size_t count = std::min(part_bytes, bytes - done);
      char* pinned = ring_.data() + ring_.take(count);
      AJET_CUDA(
          cudaMemcpyAsync(pinned, static_cast<const char*>(device) + done, count, cudaMemcpyDefault, stream_.handle()));
      parts[taken] = {pinned, done, count};
      done += count;
    }
    stream_.synchronize();
    for (size_t i = 0; i < taken; ++i)
      std::memcpy(static_cast<char*>(host) + parts[i].begin, parts[i].pinned, parts[i].count);
  }
}

PinnedReadback::PinnedReadback(Stream& stream, size_t max_bytes) : stream_(stream) {
  AJET_CUDA(cudaHostAlloc(&pinned_, max_bytes, cudaHostAllocDefault));
}

PinnedReadback::~PinnedReadback() {
  stream_.drain();
  static_cast<void>(cudaFreeHost(pinned_));
}

void PinnedReadback::start(const void* device, size_t bytes) {
  AJET_CUDA(cudaMemcpyAsync(pinned_, device, bytes, cudaMemcpyDeviceToHost, stream_.handle()));
  arrived_.record(stream_);
}

const void* PinnedReadback::wait() {
  arrived_.synchronize();
  return pinned_;
}

}  // namespace ajet::cuda
