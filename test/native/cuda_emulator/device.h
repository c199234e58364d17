// What a kernel's source sees of CUDA C++, for a compiler that knows none of it. native/backend/cuda/device/ holds the
// same primitives for nvcc.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cuda_emulator/machine.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
// One block runs at a time, so that a block's variable may outlive it; what the last block left in it is no value to
// rely on.
#define __shared__ static

struct Uint3 {
  uint32_t x, y, z;
};
extern Uint3 threadIdx, blockIdx, blockDim, gridDim;

inline void __syncthreads() { ajet::emulator::sync_block(); }

inline int32_t atomicAdd(int32_t* address, int32_t value) {
  const int32_t old = *address;
  *address += value;
  return old;
}
inline uint32_t atomicAdd(uint32_t* address, uint32_t value) {
  const uint32_t old = *address;
  *address += value;
  return old;
}
inline int32_t atomicMax(int32_t* address, int32_t value) {
  const int32_t old = *address;
  if (value > old) *address = value;
  return old;
}
inline void __threadfence() {}
