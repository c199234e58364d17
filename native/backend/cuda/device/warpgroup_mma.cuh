// Tensor cores at warpgroup level (wgmma): four neighbouring warps multiply a[64,16] by b[n,16]ᵀ, both read from shared
// memory, beside the threads. Cards of compute capability 9.0 alone, by code for 90a.
//
// Warp w of the four holds rows 16w to 16w + 15 of the sums: c[j] are its rows (g, g, g+8, g+8) and columns
// 8j + (2t, 2t+1, 2t, 2t+1), with g = lane / 4 and t = lane % 4, so that c[j] is laid out as mma_bf16's accumulator.
#pragma once

#include "backend/cuda/device/mma.cuh"

namespace ajet::cuda {

constexpr int warpgroup_warps = 4;

#if !defined(AJET_CUDA_EMULATED) && defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define AJET_HAS_WGMMA 1
#endif

// The address of shared memory that the tensor cores know it by.
AJET_DEVICE uint64_t shared_window_address(const void* pointer) {
#if defined(AJET_CUDA_EMULATED)
  return static_cast<uint64_t>(static_cast<const std::byte*>(pointer) - emulator::shared_window());
#else
  return shared_address(pointer);
#endif
}

// Where an operand's rows lie for wgmma: 64 elements (128 bytes) each, one behind the other from a multiple of 1024
// bytes, chunks of 16 bytes at chunk ^ (row & 7) within their row ("128-byte swizzle, K-major" in the PTX manual).
// `depth` is the first of the 16 elements to multiply, a multiple of 16.
AJET_DEVICE uint64_t matrix_descriptor(const bf16* rows, int depth) {
  constexpr uint64_t swizzle_128 = 1, eight_rows = 1024;  // bytes from one group of eight rows to the next
  const uint64_t address = shared_window_address(rows) + static_cast<uint64_t>(depth) * sizeof(bf16);
  return (address >> 4 & 0x3FFF) | uint64_t{1} << 16 | (eight_rows >> 4) << 32 | swizzle_128 << 62;
}

// What the threads and cp.async have written to shared memory is there for wgmma, once a barrier has passed too.
AJET_DEVICE void show_to_warpgroups() {
#if defined(AJET_HAS_WGMMA)
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// Before the first product of a batch: the registers of the sums are as the threads left them.
AJET_DEVICE void warpgroup_begin() {
#if defined(AJET_HAS_WGMMA)
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

// Closes the batch of products since the last.
AJET_DEVICE void warpgroup_commit() {
#if defined(AJET_CUDA_EMULATED)
  emulator::warpgroup_commit();
#elif defined(AJET_HAS_WGMMA)
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}

// Waits until at most `batches_left` are under way. The sums of those may not be touched, nor their operands.
template <int batches_left>
AJET_DEVICE void warpgroup_wait() {
#if defined(AJET_CUDA_EMULATED)
  emulator::warpgroup_wait(batches_left);
#elif defined(AJET_HAS_WGMMA)
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(batches_left) : "memory");
#endif
}

// The compiler may not move uses of the sums across this.
template <int tiles>
AJET_DEVICE void pin_sums(float (&c)[tiles][4]) {
#if defined(AJET_HAS_WGMMA)
#pragma unroll
  for (int j = 0; j < tiles; ++j)
#pragma unroll
    for (int i = 0; i < 4; ++i) asm volatile("" : "+f"(c[j][i])::"memory");
#else
  static_cast<void>(c);
#endif
}

#if defined(AJET_HAS_WGMMA)
#define AJET_SUMS_1(j) "+f"(c[j][0]), "+f"(c[j][1]), "+f"(c[j][2]), "+f"(c[j][3])
#define AJET_SUMS_4(j) AJET_SUMS_1(j), AJET_SUMS_1(j + 1), AJET_SUMS_1(j + 2), AJET_SUMS_1(j + 3)
#define AJET_SUMS_16(j) AJET_SUMS_4(j), AJET_SUMS_4(j + 4), AJET_SUMS_4(j + 8), AJET_SUMS_4(j + 12)
// clang-format off
#define AJET_WGMMA(n, registers, a_operand, b_operand, add_operand, ...)                                  \
  asm volatile(                                                                                           \
      "{.reg .pred add; setp.ne.b32 add, " add_operand ", 0;\n"                                           \
      "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" registers "}, " a_operand ", " b_operand \
      ", add, 1, 1, 0, 0;}"                                                                               \
      : __VA_ARGS__                                                                                       \
      : "l"(a), "l"(b), "r"(static_cast<int>(add))                                                        \
      : "memory")
#define AJET_REGISTERS_16 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define AJET_REGISTERS_32 AJET_REGISTERS_16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define AJET_REGISTERS_64                                                                                 \
  AJET_REGISTERS_32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53," \
                    "%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
// clang-format on
#endif

// Queues c = a · bᵀ (+ c with `add`) over 16 elements for the warpgroup; a and b are matrix_descriptor()s of 64 and of
// 8 * tiles rows.
template <int tiles>
AJET_DEVICE void warpgroup_mma(float (&c)[tiles][4], uint64_t a, uint64_t b, bool add) {
  static_assert(tiles == 1 || tiles == 4 || tiles == 8 || tiles == 16);
#if defined(AJET_CUDA_EMULATED)
  emulator::warpgroup_mma(&c[0][0], tiles * 8, a, b, add);
#elif defined(AJET_HAS_WGMMA)
  if constexpr (tiles == 1) {
    AJET_WGMMA(8, "%0,%1,%2,%3", "%4", "%5", "%6", AJET_SUMS_1(0));
  } else if constexpr (tiles == 4) {
    AJET_WGMMA(32, AJET_REGISTERS_16, "%16", "%17", "%18", AJET_SUMS_4(0));
  } else if constexpr (tiles == 8) {
    AJET_WGMMA(64, AJET_REGISTERS_32, "%32", "%33", "%34", AJET_SUMS_4(0), AJET_SUMS_4(4));
  } else {
    AJET_WGMMA(128, AJET_REGISTERS_64, "%64", "%65", "%66", AJET_SUMS_16(0));
  }
#elif defined(__CUDA_ARCH__)
  __trap();  // the host launches it on 9.0 alone
#endif
}

#if defined(AJET_HAS_WGMMA)
#undef AJET_SUMS_1
#undef AJET_SUMS_4
#undef AJET_SUMS_16
#undef AJET_WGMMA
#undef AJET_REGISTERS_16
#undef AJET_REGISTERS_32
#undef AJET_REGISTERS_64
#endif

}  // namespace ajet::cuda
