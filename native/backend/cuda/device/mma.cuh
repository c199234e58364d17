// Tensor cores at warp level: all 32 lanes take part. Registers as in the PTX manual: with g = lane / 4, t = lane % 4,
//   bf16 m16n8k16  a: (g, 2t) (g+8, 2t) (g, 2t+8) (g+8, 2t+8), pairs along k;  b: (2t, g) (2t+8, g), pairs along k
//   tf32 m16n8k8   a: (g, t) (g+8, t) (g, t+4) (g+8, t+4);                      b: (t, g) (t+4, g)
//   accumulator    c: (g, 2t) (g, 2t+1) (g+8, 2t) (g+8, 2t+1)
#pragma once

#include "backend/cuda/device/bf16.cuh"
#include "backend/cuda/device/warp.cuh"

namespace ajet::cuda {

#if !defined(AJET_CUDA_EMULATED)
AJET_DEVICE uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}
#endif

// c[16,8] += a[16,16] · b[16,8], bf16 operands
AJET_DEVICE void mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if defined(AJET_CUDA_EMULATED)
  emulator::mma_m16n8k16_bf16(c, a, b, c);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// c[16,8] += a[16,8] · b[8,8], tf32 operands (see to_tf32)
AJET_DEVICE void mma_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if defined(AJET_CUDA_EMULATED)
  emulator::mma_m16n8k8_tf32(c, a, b, c);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Rounds to the 10 bits of mantissa that tf32 has, ties away from zero.
AJET_DEVICE uint32_t to_tf32(float value) {
#if defined(AJET_CUDA_EMULATED)
  return (float_bits(value) + 0x1000U) & 0xFFFFE000U;
#else
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
#endif
}

// Four 8x8 matrices of 16-bit elements: lane l gives the address (shared, a multiple of 16 bytes) of row l % 8 of
// matrix l / 8, and gets of matrix i the elements (l / 4, 2 (l % 4)) and the one to its right; transposed: the elements
// (2 (l % 4), l / 4) and the one below.
AJET_DEVICE void load_matrix_x4(uint32_t (&r)[4], const void* row) {
#if defined(AJET_CUDA_EMULATED)
  emulator::load_matrix_x4(r, row, false);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#endif
}

AJET_DEVICE void load_matrix_x4_transposed(uint32_t (&r)[4], const void* row) {
#if defined(AJET_CUDA_EMULATED)
  emulator::load_matrix_x4(r, row, true);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#endif
}

}  // namespace ajet::cuda
