// Panels of 16 rows from and to row-major memory, 16 x 16 floats at a time. Compiled once per instruction set.
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

namespace ajet::cpu::AJET_ISA {
namespace {

#if defined(AJET_SIMD_AVX512)

AJET_INLINE __m512 unpack_pairs_low(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
AJET_INLINE __m512 unpack_pairs_high(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

AJET_INLINE void transpose(F32x16 (&v)[16]) {
  __m512 pairs[16], quads[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_ps(v[i].v, v[i + 1].v);
    pairs[i + 1] = _mm512_unpackhi_ps(v[i].v, v[i + 1].v);
  }
  // Then 128-bit part q of quads[4i + j] is column 4q + j of rows 4i to 4i + 3.
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    quads[i] = unpack_pairs_low(pairs[i], pairs[i + 2]);
    quads[i + 1] = unpack_pairs_high(pairs[i], pairs[i + 2]);
    quads[i + 2] = unpack_pairs_low(pairs[i + 1], pairs[i + 3]);
    quads[i + 3] = unpack_pairs_high(pairs[i + 1], pairs[i + 3]);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512 even_top = _mm512_shuffle_f32x4(quads[j], quads[4 + j], 0x88);
    const __m512 even_bottom = _mm512_shuffle_f32x4(quads[8 + j], quads[12 + j], 0x88);
    const __m512 odd_top = _mm512_shuffle_f32x4(quads[j], quads[4 + j], 0xdd);
    const __m512 odd_bottom = _mm512_shuffle_f32x4(quads[8 + j], quads[12 + j], 0xdd);
    v[j].v = _mm512_shuffle_f32x4(even_top, even_bottom, 0x88);
    v[4 + j].v = _mm512_shuffle_f32x4(odd_top, odd_bottom, 0x88);
    v[8 + j].v = _mm512_shuffle_f32x4(even_top, even_bottom, 0xdd);
    v[12 + j].v = _mm512_shuffle_f32x4(odd_top, odd_bottom, 0xdd);
  }
}

#elif defined(AJET_SIMD_AVX2)

AJET_INLINE void transpose8(__m256 (&v)[8]) {
  __m256 pairs[8], quads[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    quads[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    quads[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    quads[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    quads[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    v[j] = _mm256_permute2f128_ps(quads[j], quads[4 + j], 0x20);
    v[4 + j] = _mm256_permute2f128_ps(quads[j], quads[4 + j], 0x31);
  }
}

AJET_INLINE void transpose(F32x16 (&v)[16]) {
  __m256 top_left[8], top_right[8], bottom_left[8], bottom_right[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    top_left[i] = v[i].lo;
    top_right[i] = v[i].hi;
    bottom_left[i] = v[8 + i].lo;
    bottom_right[i] = v[8 + i].hi;
  }
  transpose8(top_left);
  transpose8(top_right);
  transpose8(bottom_left);
  transpose8(bottom_right);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    v[i] = {top_left[i], bottom_left[i]};
    v[8 + i] = {top_right[i], bottom_right[i]};
  }
}

#else

AJET_INLINE void transpose(F32x16 (&v)[16]) {
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < i; ++j) {
      const float upper = v[j].v[i];
      v[j].v[i] = v[i].v[j];
      v[i].v[j] = upper;
    }
  }
}

#endif

// v[r] = the first `cols` lanes of row r < rows of source, zero elsewhere
AJET_INLINE void load_block(F32x16 (&v)[16], const float* source, int64_t stride, int64_t rows, int64_t cols) {
  if (rows >= 16 && cols >= 16) {
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) v[r] = load(source + r * stride);
    return;
  }
  const int lanes = cols < 16 ? static_cast<int>(cols) : 16;
  for (int r = 0; r < 16; ++r) v[r] = r < rows ? load_partial(source + r * stride, lanes) : zero();
}

void rows_to_panel(float* panel, const float* source, int64_t stride, int64_t rows, int64_t cols) {
  for (int64_t c = 0; c < cols; c += 16) {
    F32x16 v[16];
    load_block(v, source + c, stride, rows, cols - c);
    transpose(v);
    if (cols - c >= 16) {
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) store(panel + (c + i) * 16, v[i]);
    } else {
      for (int64_t i = 0; i < cols - c; ++i) store(panel + (c + i) * 16, v[i]);
    }
  }
}

void panel_to_rows(float* target, int64_t stride, const float* panel, int64_t rows, int64_t cols, bool accumulate) {
  for (int64_t c = 0; c < cols; c += 16) {
    F32x16 v[16];
    load_block(v, panel + c * 16, 16, cols - c, 16);
    transpose(v);
    const int lanes = cols - c < 16 ? static_cast<int>(cols - c) : 16;
    for (int64_t r = 0; r < rows; ++r) {
      float* to = target + r * stride + c;
      store_partial(to, accumulate ? add(load_partial(to, lanes), v[r]) : v[r], lanes);
    }
  }
}

}  // namespace

void fill_transpose(Kernels& table);
void fill_transpose(Kernels& table) {
  table.rows_to_panel = rows_to_panel;
  table.panel_to_rows = panel_to_rows;
}

}  // namespace ajet::cpu::AJET_ISA
