// Register tiles of attention, compiled once per instruction set. Tile sizes never change bits: every element of a
// result is one fma chain of its own.
#pragma once

#include "backend/cpu/attention_kernels.h"
#include "backend/cpu/simd.h"

namespace ajet::cpu::AJET_ISA {

#if defined(AJET_SIMD_AVX512)
// 32 registers of 16 lanes: up to 6 x 4 accumulators.
template <int R>
constexpr int tile_vectors = 4;
#else
// 16 registers of 8 lanes (two to a vector): up to 6 x 1 vectors of accumulators, wider for few rows.
template <int R>
constexpr int tile_vectors = R == 1   ? 4
                             : R == 2 ? 2
                                      : 1;
#endif

// out[r][16b + lane] = scale * Σ_d a[r][d] * blocks[b][d][lane], for R rows and B blocks of 16 keys
template <int R, int B>
AJET_INLINE void dot_tile(float* out, int64_t out_stride, const float* a, int64_t a_stride, const float* const* blocks,
                          int64_t dim, float scale) {
  F32x16 sum[R][B];
  for (int r = 0; r < R; ++r)
    for (int b = 0; b < B; ++b) sum[r][b] = zero();
  for (int64_t d = 0; d < dim; ++d) {
    F32x16 key[B];
    for (int b = 0; b < B; ++b) key[b] = load(blocks[b] + d * attention_block_keys);
    for (int r = 0; r < R; ++r) {
      const F32x16 x = broadcast(a[r * a_stride + d]);
      for (int b = 0; b < B; ++b) sum[r][b] = fma(x, key[b], sum[r][b]);
    }
  }
  const F32x16 factor = broadcast(scale);
  for (int r = 0; r < R; ++r)
    for (int b = 0; b < B; ++b) store(out + r * out_stride + b * attention_block_keys, mul(sum[r][b], factor));
}

// dot_tile over `count` blocks.
template <int R>
static void dot_rows(float* out, int64_t out_stride, const float* a, int64_t a_stride, const float* const* blocks,
                     int64_t count, int64_t dim, float scale) {
  constexpr int B = tile_vectors<R>;
  int64_t b = 0;
  for (; b + B <= count; b += B)
    dot_tile<R, B>(out + b * attention_block_keys, out_stride, a, a_stride, blocks + b, dim, scale);
  for (; b < count; ++b)
    dot_tile<R, 1>(out + b * attention_block_keys, out_stride, a, a_stride, blocks + b, dim, scale);
}

// A sequence of padded rows in segments of 16: row s is segments[s / 16] + offset + s % 16 * stride.
struct SegmentedRows {
  const float* const* segments;
  int64_t offset;
  int64_t stride;
};

// y[r][0 .. 16V) += Σ_s w[r * w_row + s * w_step] * x_s, s in [begin, end), one chain over s for each element
template <int R, int V>
AJET_INLINE void mix_tile(float* y, int64_t y_stride, const float* w, int64_t w_row, int64_t w_step,
                          const SegmentedRows& x, int64_t column, int64_t begin, int64_t end) {
  F32x16 sum[R][V];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < V; ++c) sum[r][c] = load(y + r * y_stride + column + 16 * c);
  for (int64_t s = begin; s < end;) {
    const float* row = x.segments[s / 16] + x.offset + s % 16 * x.stride + column;
    const int64_t segment_end = s / 16 * 16 + 16;
    for (const int64_t stop = segment_end < end ? segment_end : end; s < stop; ++s, row += x.stride) {
      F32x16 value[V];
      for (int c = 0; c < V; ++c) value[c] = load(row + 16 * c);
      for (int r = 0; r < R; ++r) {
        const F32x16 weight = broadcast(w[r * w_row + s * w_step]);
        for (int c = 0; c < V; ++c) sum[r][c] = fma(weight, value[c], sum[r][c]);
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < V; ++c) store(y + r * y_stride + column + 16 * c, sum[r][c]);
}

// mix_tile over all `columns` (a multiple of 16), in spans of x that stay in the first cache while the columns are
// walked.
template <int R>
static void mix_rows(float* y, int64_t y_stride, const float* w, int64_t w_row, int64_t w_step, const SegmentedRows& x,
                     int64_t columns, int64_t begin, int64_t end) {
  constexpr int V = tile_vectors<R>;
  constexpr int64_t span = 64;
  for (int64_t first = begin; first < end;) {
    const int64_t span_end = (first / span + 1) * span, last = span_end < end ? span_end : end;
    if (R <= 4) {
      // Few queries, as in decoding, wait for memory, and the walk by columns hides the order of the lines.
      for (int64_t s = last; s < (last + span < end ? last + span : end); ++s)
        for (int64_t c = 0; c < columns; c += 16)
          __builtin_prefetch(x.segments[s / 16] + x.offset + s % 16 * x.stride + c);
    }
    int64_t column = 0;
    for (; column + 16 * V <= columns; column += 16 * V)
      mix_tile<R, V>(y, y_stride, w, w_row, w_step, x, column, first, last);
    for (; column < columns; column += 16) mix_tile<R, 1>(y, y_stride, w, w_row, w_step, x, column, first, last);
    first = last;
  }
}

// Calls body.template operator()<R>(first) for rows first .. first + R, R at most 6.
template <typename Body>
AJET_INLINE void for_row_tiles(int64_t rows, Body body) {
  int64_t first = 0;
  for (; first + 6 <= rows; first += 6) body.template operator()<6>(first);
  switch (rows - first) {
    case 5: return body.template operator()<5>(first);
    case 4: return body.template operator()<4>(first);
    case 3: return body.template operator()<3>(first);
    case 2: return body.template operator()<2>(first);
    case 1: return body.template operator()<1>(first);
    default: return;
  }
}

// to[padded] = from[n], zeros behind
AJET_INLINE void copy_padded(float* to, const float* from, int64_t n) {
  for (int64_t d = 0; d < n; d += 16) store(to + d, load_partial(from + d, static_cast<int>(n - d < 16 ? n - d : 16)));
}

}  // namespace ajet::cpu::AJET_ISA
