// Copies from global to shared memory that run beside the thread (cp.async). In the emulator the target is undefined
// until its group was waited for.
#pragma once

#include "backend/cuda/device/mma.cuh"

namespace ajet::cuda {

// Copies `bytes` (0 to size) from global memory and zeros behind them up to `size`, 4, 8 or 16; both addresses are
// multiples of it.
template <int size = 16>
AJET_DEVICE void async_copy(void* shared, const void* global, int bytes = size) {
  static_assert(size == 4 || size == 8 || size == 16);
#if defined(AJET_CUDA_EMULATED)
  emulator::async_copy(shared, global, static_cast<size_t>(bytes), static_cast<size_t>(size - bytes));
#else
  if constexpr (size == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)), "l"(global), "n"(size),
                 "r"(bytes)
                 : "memory");
  }
#endif
}

// Closes the group of this thread's copies since the last.
AJET_DEVICE void async_commit() {
#if defined(AJET_CUDA_EMULATED)
  emulator::async_commit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most `groups_left` of this thread's groups are under way. Other threads' need a barrier besides.
template <int groups_left>
AJET_DEVICE void async_wait() {
#if defined(AJET_CUDA_EMULATED)
  emulator::async_wait(groups_left);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(groups_left) : "memory");
#endif
}

}  // namespace ajet::cuda
