// The language that kernels are written in: CUDA C++ under nvcc, the same names over fibers in the tests' emulator
// (test/native/cuda_emulator/). Blocks are one-dimensional and a multiple of a warp.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(AJET_CUDA_EMULATED)
#include "cuda_emulator/device.h"
#include "cuda_emulator/warp.h"
#define AJET_DEVICE inline
#else
#include <cuda_runtime.h>
#define AJET_DEVICE __device__ __forceinline__
#endif

namespace ajet::cuda {

constexpr int warp_lanes = 32;

AJET_DEVICE int lane_index() { return static_cast<int>(threadIdx.x) % warp_lanes; }
AJET_DEVICE int warp_index() { return static_cast<int>(threadIdx.x) / warp_lanes; }
AJET_DEVICE int block_warps() { return static_cast<int>(blockDim.x) / warp_lanes; }

template <typename T>
AJET_DEVICE T min_of(T a, T b) {
  return a < b ? a : b;
}
template <typename T>
AJET_DEVICE T max_of(T a, T b) {
  return a < b ? b : a;
}

// The block's dynamic shared memory (Grid::shared_bytes), aligned to 128 bytes. Undefined at the start.
AJET_DEVICE unsigned char* dynamic_shared() {
#if defined(AJET_CUDA_EMULATED)
  return reinterpret_cast<unsigned char*>(emulator::shared_memory());
#else
  extern __shared__ __align__(128) unsigned char ajet_dynamic_shared[];
  return ajet_dynamic_shared;
#endif
}

}  // namespace ajet::cuda
