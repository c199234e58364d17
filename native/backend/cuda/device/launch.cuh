// The one way to start a kernel: launch(stream, {blocks, threads}, kernel<T>, arguments...). For .cu files.
#pragma once

#include <source_location>

#include "backend/cuda/check.h"
#include "backend/cuda/device/platform.cuh"
#include "backend/cuda/stream.h"

namespace ajet::cuda {

struct Grid {
  int64_t blocks;
  int threads;               // of a block, a multiple of 32
  int64_t shared_bytes = 0;  // dynamic
  int64_t blocks_y = 1;      // at most 65,535
  std::source_location where = std::source_location::current();
};

// Arguments are converted to the kernel's own parameter types and copied; spans and references to host memory never
// belong among them.
template <typename... Parameters, typename... Arguments>
void launch(Stream& stream, const Grid& grid, void (*kernel)(Parameters...), Arguments... arguments) {
#if defined(AJET_CUDA_EMULATED)
  const emulator::Grid shape{{static_cast<uint32_t>(grid.blocks), static_cast<uint32_t>(grid.blocks_y), 1},
                             static_cast<uint32_t>(grid.threads),
                             static_cast<size_t>(grid.shared_bytes)};
  emulator::enqueue(stream.handle(), [=] {
    emulator::run_grid(shape, [&] { kernel(static_cast<Parameters>(arguments)...); });
  });
#else
  const dim3 blocks(static_cast<unsigned>(grid.blocks), static_cast<unsigned>(grid.blocks_y));
  if (grid.shared_bytes > stream.default_shared_bytes) {
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(grid.shared_bytes)),
          "cudaFuncSetAttribute", grid.where);
  }
  kernel<<<blocks, static_cast<unsigned>(grid.threads), static_cast<size_t>(grid.shared_bytes), stream.handle()>>>(
      static_cast<Parameters>(arguments)...);
  check(cudaGetLastError(), "a kernel launch", grid.where);
#endif
  stream.launched(grid.where);
}

__host__ __device__ constexpr int64_t ceil_div(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

}  // namespace ajet::cuda
