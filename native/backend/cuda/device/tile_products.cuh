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
#pragma unroll
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
    for (int i = 0; i < 2; ++i)
      left[i] = *reinterpret_cast<const Four*>(a + Layout::at(a_row + group + 8 * i, chunk));
#pragma unroll
    for (int n = 0; n < tiles; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j)
        right[j] = *reinterpret_cast<const Four*>(b + Layout::at(b_row + 8 * n + pair + j, chunk));
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int d = 0; d < 4; ++d)
          c[0][n][i] = fmaf(left[i / 2].values[d], right[i % 2].values[d], c[0][n][i]);
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

template <int width, int inner, int tiles>
AJET_DEVICE void multiply_columns(float (&c)[tiles][4], const float* p, const float* b, int b_row, int first_tile) {
  using Two = Pack<float, 2>;
  const int group = lane_index() / 4, pair = lane_index() % 4 * 2;
#pragma unroll 4
  for (int k = 0; k < inner; ++k) {
    const float left[2] = {p[Tile<float, inner>::element(group, k)], p[Tile<float, inner>::element(group + 8, k)]};
#pragma unroll
    for (int n = 0; n < tiles; ++n) {
      const int col = 8 * (first_tile + n) + pair;
      const Two right = *reinterpret_cast<const Two*>(b + Tile<float, width>::element(b_row + k, col));
#pragma unroll
      for (int i = 0; i < 4; ++i) c[n][i] = fmaf(left[i / 2], right.values[i % 2], c[n][i]);
    }
  }
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

// Accumulators as the left operand, rounded to the type of b: c[m][n] += p[m] · b[b_row ..., 8 n ...].
// `staging` is shared memory of this warp for 16 x 8 tiles floats; bf16 needs none.
template <int width, int blocks, int tiles>
AJET_DEVICE void multiply_accumulators(float (&c)[blocks][width / 8][4], const float (&p)[blocks][tiles][4],
                                       const bf16* b, int b_row, float*) {
  static_assert(tiles % 2 == 0);
  const int matrix = lane_index() / 8, line = lane_index() % 8;
#pragma unroll
  for (int k = 0; k < tiles / 2; ++k) {
    uint32_t left[blocks][4];
#pragma unroll
    for (int m = 0; m < blocks; ++m)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        left[m][i] = pack_bf16(p[m][2 * k + i / 2][i % 2 * 2], p[m][2 * k + i / 2][i % 2 * 2 + 1]);
#pragma unroll
    for (int n = 0; n < width / 8; n += 2) {
      uint32_t right[4];
      load_matrix_x4_transposed(
          right, b + Tile<bf16, width>::at(b_row + 16 * k + matrix % 2 * 8 + line, n + matrix / 2));
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
AJET_DEVICE void multiply_accumulators(float (&c)[blocks][width / 8][4], const float (&p)[blocks][tiles][4],
                                       const float* b, int b_row, float* staging) {
  static_assert(blocks == 1);
  const int group = lane_index() / 4, pair = lane_index() % 4 * 2;
  sync_warp();  // the last call's readers are done
#pragma unroll
  for (int n = 0; n < tiles; ++n)
#pragma unroll
    for (int half = 0; half < 2; ++half)
      store_neighbours<8 * tiles>(staging, group + 8 * half, 8 * n + pair, p[0][n][2 * half], p[0][n][2 * half + 1]);
  sync_warp();
  multiply_columns<width, 8 * tiles>(c[0], staging, b, b_row, 0);
}

}  // namespace ajet::cuda
