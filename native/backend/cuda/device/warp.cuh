// Warps: all 32 lanes take part in every call. Sums have one fixed order.
#pragma once

#include "backend/cuda/device/platform.cuh"

namespace ajet::cuda {

template <typename T>
AJET_DEVICE T shuffle(T value, int from_lane) {
#if defined(AJET_CUDA_EMULATED)
  return emulator::exchange(value, from_lane);
#else
  return __shfl_sync(0xFFFFFFFFU, value, from_lane);
#endif
}

template <typename T>
AJET_DEVICE T shuffle_xor(T value, int mask) {
#if defined(AJET_CUDA_EMULATED)
  return emulator::exchange(value, lane_index() ^ mask);
#else
  return __shfl_xor_sync(0xFFFFFFFFU, value, mask);
#endif
}

AJET_DEVICE uint32_t ballot(bool predicate) {
#if defined(AJET_CUDA_EMULATED)
  return emulator::ballot(predicate);
#else
  return __ballot_sync(0xFFFFFFFFU, predicate);
#endif
}

AJET_DEVICE void sync_warp() {
#if defined(AJET_CUDA_EMULATED)
  emulator::sync_warp();
#else
  __syncwarp();
#endif
}

// Butterflies over groups of `lanes` neighbours (a power of two): every lane has the group's result.
template <int lanes = warp_lanes, typename T>
AJET_DEVICE T warp_sum(T value) {
#pragma unroll
  for (int mask = lanes / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}

template <int lanes = warp_lanes, typename T>
AJET_DEVICE T warp_max(T value) {
#pragma unroll
  for (int mask = lanes / 2; mask > 0; mask /= 2) value = max_of(value, shuffle_xor(value, mask));
  return value;
}

// Over a block of `threads`; every thread has the result. `scratch` is shared memory for threads / 32 values that
// nobody else uses until the next barrier.
template <int threads, typename T>
AJET_DEVICE T block_sum(T value, T* scratch) {
  value = warp_sum(value);
  if constexpr (threads > warp_lanes) {
    __syncthreads();  // the last call's readers are done
    if (lane_index() == 0) scratch[warp_index()] = value;
    __syncthreads();
    value = scratch[0];
#pragma unroll
    for (int w = 1; w < threads / warp_lanes; ++w) value += scratch[w];
  }
  return value;
}

}  // namespace ajet::cuda
