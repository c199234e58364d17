// Products of tiles, one warp: bf16 on tensor cores, float by fused multiply-adds with 24 bits. Both keep the result as
// mma's accumulators do (mma.cuh): c[n][0..1] is row lane / 4, columns 8n + 2 (lane % 4) and the next; c[n][2..3] eight
// rows below. Each element is one chain over the inner dimension, in ascending order, wherever it lies in a tile.
#pragma once

#include "backend/cuda/device/mma.cuh"
#include "backend/cuda/device/tile.cuh"

namespace ajet::cuda {

// c[b][n] += a[a_row + 16 b ..., :] · b[b_row + 8 n ..., :]ᵀ over `width` columns
template <int width, int blocks, int tiles>
AJET_DEVICE void multiply_rows(float (&c)[blocks][tiles][4], const bf16* a, int a_row, const bf16* b, int b_row) {
  static_assert(tiles % 2 == 0);
  const int matrix = lane_index() / 8, line = lane_index() % 8;
  // With many accumulators, registers are short: no more than these steps' operands at once.
  [[maybe_unused]] constexpr int steps = blocks > 1 ? 4 : width / 16;
#pragma unroll steps
  for (int k = 0; k < width / 16; ++k) {
    uint32_t left[blocks][4];
#pragma unroll
    for (int m = 0; m < blocks; ++m)
      load_matrix_x4(left[m], a + Tile<bf16, width>::at(a_row + 16 * m + matrix % 2 * 8 + line, 2 * k + matrix / 2));
#pragma unroll
    for (int n = 0; n < tiles; n += 2) {
      uint32_t right[4];
      load_matrix_x4(right, b + Tile<bf16, width>::at(b_row + 8 * n + matrix / 2 * 8 + line, 2 * k + matrix % 2));
      const uint32_t even[2] = {right[0], right[1]}, odd[2] = {right[2], right[3]};
#pragma unroll
      for (int m = 0; m < blocks; ++m) {
        mma_bf16(c[m][n], left[m], even);
        mma_bf16(c[m][n + 1], left[m], odd);
      }
    }
  }
}

template <int width, int blocks, int tiles>
AJET_DEVICE void multiply_rows(float (&c)[blocks][tiles][4], const float* a, int a_row, const float* b, int b_row) {
  static_assert(blocks == 1);
  using Four = Pack<float, 4>;
  using Layout = Tile<float, width>;
  const int group = lane_index() / 4, pair = lane_index() % 4 * 2;
#pragma unroll 2
  for (int chunk = 0; chunk < Layout::chunks; ++chunk) {
    Four left[2], right[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) left[i] = *reinterpret_cast<const Four*>(a + Layout::at(a_row + group + 8 * i, chunk));
#pragma unroll
    for (int n = 0; n < tiles; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j)
        right[j] = *reinterpret_cast<const Four*>(b + Layout::at(b_row + 8 * n + pair + j, chunk));
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int d = 0; d < 4; ++d) c[0][n][i] = fmaf(left[i / 2].values[d], right[i % 2].values[d], c[0][n][i]);
    }
  }
}

// Rows of `inner` weights p[16, inner] in shared memory:
// c[n] += p · b[b_row ..., 8 (first_tile + n) ...]
template <int width, int inner, int tiles>
AJET_DEVICE void multiply_columns(float (&c)[tiles][4], const bf16* p, const bf16* b, int b_row, int first_tile) {
  static_assert(inner % 32 == 0);
  const int matrix = lane_index() / 8, line = lane_index() % 8;
#pragma unroll
  for (int k = 0; k < inner / 32; ++k) {
    uint32_t left[2][4];
#pragma unroll
    for (int i = 0; i < 2; ++i)
      load_matrix_x4(left[i], p + Tile<bf16, inner>::at(matrix % 2 * 8 + line, 4 * k + 2 * i + matrix / 2));
#pragma unroll
    for (int n = 0; n < tiles; ++n) {
      uint32_t right[4];
      load_matrix_x4_transposed(right, b + Tile<bf16, width>::at(b_row + 32 * k + matrix * 8 + line, first_tile + n));
      const uint32_t upper[2] = {right[0], right[1]}, lower[2] = {right[2], right[3]};
      mma_bf16(c[n], left[0], upper);
      mma_bf16(c[n], left[1], lower);
    }
  }
}

// Summed apart, then added: a running sum over thousands of rows loses less that way.
template <int width, int inner, int tiles>
AJET_DEVICE void multiply_columns(float (&c)[tiles][4], const float* p, const float* b, int b_row, int first_tile) {
  using Two = Pack<float, 2>;
  const int group = lane_index() / 4, pair = lane_index() % 4 * 2;
  float sum[tiles][4] = {};
#pragma unroll 4
  for (int k = 0; k < inner; ++k) {
    const float left[2] = {p[Tile<float, inner>::element(group, k)], p[Tile<float, inner>::element(group + 8, k)]};
#pragma unroll
    for (int n = 0; n < tiles; ++n) {
      const int col = 8 * (first_tile + n) + pair;
      const Two right = *reinterpret_cast<const Two*>(b + Tile<float, width>::element(b_row + k, col));
#pragma unroll
      for (int i = 0; i < 4; ++i) sum[n][i] = fmaf(left[i / 2], right.values[i % 2], sum[n][i]);
    }
  }
#pragma unroll
  for (int n = 0; n < tiles; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) c[n][i] += sum[n][i];
}

// Two neighbours of a row of a tile of `inner` columns.
template <int inner>
AJET_DEVICE void store_neighbours(bf16* tile, int row, int col, float left, float right) {
  *reinterpret_cast<uint32_t*>(tile + Tile<bf16, inner>::element(row, col)) = pack_bf16(left, right);
}
template <int inner>
AJET_DEVICE void store_neighbours(float* tile, int row, int col, float left, float right) {
  *reinterpret_cast<Pack<float, 2>*>(tile + Tile<float, inner>::element(row, col)) = {{left, right}};
}

// Accumulators [16 blocks, 8 tiles] that become a left operand, in T.
template <typename T, int blocks, int tiles>
struct LeftOperand {
  static_assert(tiles % 2 == 0);
  uint32_t a[blocks][tiles / 2][4] = {};

  AJET_DEVICE void set(const float (&p)[blocks][tiles][4]) {
#pragma unroll
    for (int m = 0; m < blocks; ++m)
#pragma unroll
      for (int k = 0; k < tiles / 2; ++k)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float* pair = &p[m][2 * k + i / 2][i % 2 * 2];
          a[m][k][i] = pack_bf16(pair[0], pair[1]);
        }
  }
};

// Floats go through shared memory, 16 x 8 tiles of them for each warp.
template <int blocks, int tiles>
struct LeftOperand<float, blocks, tiles> {
  static_assert(blocks == 1);
  float* staging;

  AJET_DEVICE void set(const float (&p)[blocks][tiles][4]) {
    sync_warp();  // the last product was made
#pragma unroll
    for (int n = 0; n < tiles; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        store_neighbours<8 * tiles>(staging, lane_index() / 4 + 8 * half, 8 * n + lane_index() % 4 * 2,
                                    p[0][n][2 * half], p[0][n][2 * half + 1]);
    sync_warp();
  }
};

template <typename T, int blocks, int tiles>
AJET_DEVICE LeftOperand<T, blocks, tiles> left_operand(float* staging) {
  if constexpr (sizeof(T) == 2)
    return {};
  else
    return {staging};
}

// c[m][n] += left[m] · b[b_row ..., 8 n ...]
template <int width, int blocks, int tiles>
AJET_DEVICE void multiply_left(float (&c)[blocks][width / 8][4], const LeftOperand<bf16, blocks, tiles>& left,
                               const bf16* b, int b_row) {
  const int matrix = lane_index() / 8, line = lane_index() % 8;
#pragma unroll
  for (int k = 0; k < tiles / 2; ++k) {
#pragma unroll
    for (int n = 0; n < width / 8; n += 2) {
      uint32_t right[4];
      load_matrix_x4_transposed(right,
                                b + Tile<bf16, width>::at(b_row + 16 * k + matrix % 2 * 8 + line, n + matrix / 2));
      const uint32_t even[2] = {right[0], right[1]}, odd[2] = {right[2], right[3]};
#pragma unroll
      for (int m = 0; m < blocks; ++m) {
        mma_bf16(c[m][n], left.a[m][k], even);
        mma_bf16(c[m][n + 1], left.a[m][k], odd);
      }
    }
  }
}

template <int width, int blocks, int tiles>
AJET_DEVICE void multiply_left(float (&c)[blocks][width / 8][4], const LeftOperand<float, blocks, tiles>& left,
                               const float* b, int b_row) {
  multiply_columns<width, 8 * tiles>(c[0], left.staging, b, b_row, 0);
}

}  // namespace ajet::cuda
