#include "backend/cuda/host_memory.h"

#include <cstring>
#include <iterator>
#include <string>

#include "backend/cuda/check.h"
#include "base/error.h"

namespace ajet::cuda {

HostMemory::~HostMemory() {
  while (!blocks_.empty()) free(const_cast<char*>(blocks_.begin()->first));
}

void* HostMemory::allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  void* data = nullptr;
  make_current(device_);
  const cudaError_t error = cudaHostAlloc(&data, bytes, cudaHostAllocMapped);
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    fail(ErrorCode::out_of_memory,
         "[allocate_host] Expected " + std::to_string(bytes) +
             " bytes of page-locked host memory but the system refused; in use: " + std::to_string(bytes_) + " bytes");
  }
  check(error, "cudaHostAlloc");
  std::memset(data, 0, bytes);
  blocks_.emplace(static_cast<char*>(data), bytes);
  bytes_ += bytes;
  return data;
}

void HostMemory::free(void* data) noexcept {
  const auto block = blocks_.find(static_cast<char*>(data));
  if (block == blocks_.end()) return;
  static_cast<void>(cudaFreeHost(data));
  bytes_ -= block->second;
  blocks_.erase(block);
}

bool HostMemory::contains(const void* data) const {
  const auto* const place = static_cast<const char*>(data);
  const auto after = blocks_.upper_bound(place);
  if (after == blocks_.begin()) return false;
  const auto block = std::prev(after);
  return place < block->first + block->second;
}

}  // namespace ajet::cuda
