// The operations in which the 32 lanes of a warp meet, for native/backend/cuda/device/{warp,mma}.cuh.
#pragma once

#include "cuda_emulator/machine.h"

namespace ajet::emulator {

// Every lane gives a value and the lane whose value it wants.
template <typename T>
T exchange(T value, int from_lane) {
  struct Input {
    T value;
    int from;
  };
  const Input input{value, from_lane};
  T output{};
  meet_warp("a shuffle", &input, &output, [](const void* const* inputs, void* const* outputs) {
    for (int l = 0; l < 32; ++l) {
      const int from = static_cast<const Input*>(inputs[l])->from & 31;
      *static_cast<T*>(outputs[l]) = static_cast<const Input*>(inputs[from])->value;
    }
  });
  return output;
}

uint32_t ballot(bool predicate);
void sync_warp();

// Registers as in the PTX manual's figures for mma.m16n8k16 (bf16) and mma.m16n8k8 (tf32): d = a·b + c, sums over k in
// ascending order in fp32.
void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4]);
void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4]);

// ldmatrix.x4: lane l gives the address of row l % 8 of 8x8 matrix l / 8.
void load_matrix_x4(uint32_t (&r)[4], const void* row, bool transposed);

// A warp's share of a wgmma: rows [first_row, + 16) of c[64, n] = a[64, 16] · b[n, 16]ᵀ (+ c with `add`), with a lane's
// sums at c as mma_m16n8k16_bf16 has them, one set of four for every eight columns. Sums over k in ascending order.
struct WarpgroupProduct {
  float* c;
  int n, first_row;
  uint64_t a, b;
  bool add;
};
void multiply_rows(const WarpgroupProduct& product);

}  // namespace ajet::emulator
