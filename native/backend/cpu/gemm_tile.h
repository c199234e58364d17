// Register tiles of C = A · B over packed panels: R rows by P panels of 16 columns, fully unrolled so that the tile
// stays in registers. For files that are compiled once per instruction set.
#pragma once

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

namespace ajet::cpu::AJET_ISA {
namespace {

#if defined(AJET_SIMD_AVX512)
constexpr int max_tile_rows = 14;
constexpr int tile_panels(int rows) { return rows == 1 ? 8 : rows <= 4 ? 4 : 2; }
#elif defined(AJET_SIMD_AVX2)
constexpr int max_tile_rows = 6;
constexpr int tile_panels(int rows) { return rows == 1 ? 4 : rows <= 3 ? 2 : 1; }
#else
constexpr int max_tile_rows = 2;
constexpr int tile_panels(int) { return 1; }
#endif

// Where step t of A's row r lies: rows of consecutive steps, or strips of consecutive rows (see GemmBlock).
enum class Order { rows, strips };

// Rows of A are addressed as base + {0, 1, 2} * stride, with one base register for three rows: a register for each
// row would not fit. The asm keeps the compiler from replacing the bases by one pointer a row.
template <int R>
struct RowPointers {
  static constexpr int bases = (R + 2) / 3;
  const float* base[bases];
  int64_t stride;

  AJET_INLINE RowPointers at(const float* a, int64_t row_stride) {
    RowPointers p;
    p.stride = row_stride;
    for (int i = 0; i < bases; ++i) p.base[i] = a + 3 * i * row_stride;
    return p;
  }
  __attribute__((always_inline)) void hide() {
#pragma GCC unroll 8
    for (int i = 0; i < bases; ++i) __asm__("" : "+r"(base[i]));
    __asm__("" : "+r"(stride));
  }
  __attribute__((always_inline)) void advance(int64_t steps) {
#pragma GCC unroll 8
    for (int i = 0; i < bases; ++i) base[i] += steps;
  }
  __attribute__((always_inline)) const float& operator()(int row, int step) const {
    return base[row / 3][(row % 3) * stride + step];
  }
};

template <int R, int P>
struct Tile {
  F32x16 c[R][P];

  // c += a(row) ⊗ b, for one step
  template <typename Element>
  __attribute__((always_inline)) void step(const float* b, int64_t panel_stride, const Element& a) {
    F32x16 columns[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) columns[p] = load(b + p * panel_stride);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const F32x16 row = broadcast(a(r));
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) c[r][p] = fma(row, columns[p], c[r][p]);
    }
  }
};

template <int R, int P>
AJET_INLINE void multiply_rows(Tile<R, P>& tile, const float* a, int64_t row_stride, int64_t chunk_stride,
                               const float* b, int64_t panel_stride, int64_t depth) {
  auto rows = RowPointers<R>::at(a, row_stride);
  for (; depth >= 16; depth -= 16) {
    if (chunk_stride > 16 * R) {  // neither rows of consecutive steps nor packed ones: no stream for the hardware
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) __builtin_prefetch(&rows(r, 0) + 2 * chunk_stride);
    }
    for (int quarter = 0; quarter < 4; ++quarter) {
      rows.hide();
#pragma GCC unroll 4
      for (int s = 0; s < 4; ++s) tile.step(b + 16 * s, panel_stride, [&](int r) { return rows(r, s); });
      rows.advance(4);
      b += 64;
    }
    rows.advance(chunk_stride - 16);
  }
  for (; depth > 0; --depth) {
    rows.hide();
    tile.step(b, panel_stride, [&](int r) { return rows(r, 0); });
    rows.advance(1);
    b += 16;
  }
}

template <int R, int P>
AJET_INLINE void multiply_strip(Tile<R, P>& tile, const float* a, int64_t width, const float* b, int64_t panel_stride,
                                int64_t depth) {
  for (; depth >= 4; depth -= 4) {
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      tile.step(b + 16 * s, panel_stride, [&](int r) { return a[r]; });
      a += width;
    }
    b += 64;
  }
  for (; depth > 0; --depth) {
    tile.step(b, panel_stride, [&](int r) { return a[r]; });
    a += width;
    b += 16;
  }
}

// R rows of C by P panels from first_panel on; g.a and g.c point at the first row.
template <int R, int P, Order order>
void multiply_tile(const GemmBlock& g, int64_t first_panel) {
  float* c = g.c + first_panel * g.c_panel_stride;
  const int64_t cols_left = g.cols - 16 * (first_panel + P - 1);
  const int last_lanes = cols_left < 16 ? static_cast<int>(cols_left) : 16;  // of the tile's last panel
  Tile<R, P> tile;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      const float* from = c + r * g.c_row_stride + p * g.c_panel_stride;
      tile.c[r][p] = !g.accumulate ? zero() : p < P - 1 ? load(from) : load_partial(from, last_lanes);
    }
  }
  const float* b = g.b + first_panel * g.b_panel_stride;
  if constexpr (order == Order::rows) {
    multiply_rows(tile, g.a, g.a_row_stride, g.a_step_stride, b, g.b_panel_stride, g.depth);
  } else {
    multiply_strip(tile, g.a, g.a_step_stride, b, g.b_panel_stride, g.depth);
  }
  if (g.bias != nullptr) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      const F32x16 bias = load_partial(g.bias + 16 * (first_panel + p), p < P - 1 ? 16 : last_lanes);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) tile.c[r][p] = add(tile.c[r][p], bias);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      float* to = c + r * g.c_row_stride + p * g.c_panel_stride;
      if (p < P - 1 || last_lanes == 16) {
        store(to, tile.c[r][p]);
      } else {
        store_partial(to, tile.c[r][p], last_lanes);
      }
    }
  }
}

}  // namespace
}  // namespace ajet::cpu::AJET_ISA
