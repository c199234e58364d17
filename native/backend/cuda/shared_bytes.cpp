#include "backend/cuda/shared_bytes.h"

#include <map>
#include <mutex>
#include <utility>

#include "backend/cuda/check.h"

namespace ajet::cuda {

void allow_shared_bytes(const void* kernel, int64_t bytes, const std::source_location& where) {
  if (bytes <= default_shared_bytes) return;
  static std::mutex mutex;
  static std::map<std::pair<int, const void*>, int64_t> most;  // by card and kernel
  int card = 0;
  AJET_CUDA(cudaGetDevice(&card));
  const std::lock_guard lock(mutex);
  int64_t& allowed = most[{card, kernel}];
  if (bytes <= allowed) return;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "cudaFuncSetAttribute", where);
  allowed = bytes;
}

}  // namespace ajet::cuda
