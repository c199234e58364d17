// Register tiles of C = A · B over packed panels: R rows by P panels of 16 columns. Compiled once per instruction set.
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

// Covers the panels [first_panel, end_panel) with tiles of P panels, then of fewer.
template <int R, int P, Order order>
AJET_INLINE void multiply_panels(const GemmBlock& g, int64_t first_panel, int64_t end_panel) {
  for (; first_panel + P <= end_panel; first_panel += P) multiply_tile<R, P, order>(g, first_panel);
  if constexpr (P > 1) multiply_panels<R, P / 2, order>(g, first_panel, end_panel);
}

using RowTile = void (*)(const GemmBlock&, int64_t first_panel, int64_t end_panel);

template <int R, Order order>
void row_tile(const GemmBlock& g, int64_t first_panel, int64_t end_panel) {
  multiply_panels<R, tile_panels(R), order>(g, first_panel, end_panel);
}

// By the number of rows.
template <Order order>
struct RowTiles {
  RowTile by_rows[max_tile_rows + 1] = {};
  RowTiles() { fill<max_tile_rows>(); }

 private:
  template <int R>
  void fill() {
    by_rows[R] = row_tile<R, order>;
    if constexpr (R > 1) fill<R - 1>();
  }
};

// Row tiles of nearly equal height.
struct RowTiling {
  int64_t rows;
  int64_t count;

  explicit RowTiling(int64_t row_count)
      : rows(row_count), count((row_count + max_tile_rows - 1) / max_tile_rows) {}
  int64_t first(int64_t tile) const { return rows * tile / count; }
  int64_t height(int64_t tile) const { return first(tile + 1) - first(tile); }
};

// Steps [16 chunk, 16 chunk + 16) of a row, zeros beyond the depth.
AJET_INLINE F32x16 load_chunk(const GemmBlock& g, int64_t row, int64_t chunk) {
  const float* from = g.a + row * g.a_row_stride + chunk * g.a_step_stride;
  const int64_t steps = g.depth - 16 * chunk;
  return steps >= 16 ? load(from) : load_partial(from, static_cast<int>(steps));
}

// Packs A tile by tile as packed[t / 16][row of the tile][t % 16], the order in which the micro-kernel reads it: rows
// that lie a power of two apart would share cache sets. Reads along whichever of rows and steps is contiguous.
void pack_rows(const GemmBlock& g, const RowTiling& tiling) {
  const int64_t chunks = (g.depth + 15) / 16;
  if (g.a_row_stride == 16) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      for (int64_t tile = 0; tile < tiling.count; ++tile) {
        const int64_t first = tiling.first(tile), height = tiling.height(tile);
        float* packed = g.packed_a + 16 * (first * chunks + chunk * height);
        for (int64_t r = 0; r < height; ++r) {
          __builtin_prefetch(g.a + (first + r) * 16 + (chunk + 2) * g.a_step_stride);
          store(packed + 16 * r, load_chunk(g, first + r, chunk));
        }
      }
    }
    return;
  }
  for (int64_t tile = 0; tile < tiling.count; ++tile) {
    const int64_t first = tiling.first(tile), height = tiling.height(tile);
    for (int64_t r = 0; r < height; ++r) {
      float* packed = g.packed_a + 16 * (first * chunks + r);
      for (int64_t chunk = 0; chunk < chunks; ++chunk, packed += 16 * height) {
        store(packed, load_chunk(g, first + r, chunk));
      }
    }
  }
}

// C's lines of a tile, which are too scattered for the hardware to foresee.
AJET_INLINE void prefetch_c(const GemmBlock& g, int64_t first_row, int64_t height, int64_t panel, int64_t end_panel) {
  for (int64_t r = first_row; r < first_row + height; ++r) {
    for (int64_t p = panel; p < end_panel; ++p) {
      __builtin_prefetch(g.c + r * g.c_row_stride + p * g.c_panel_stride, 1, 3);
    }
  }
}

// Packing pays where the panels are many, where rows would share cache sets, and where steps lie apart.
bool worth_packing(const GemmBlock& g, int64_t panels) {
  return panels >= 16 || g.a_row_stride % 512 == 0 || g.a_step_stride != 16;
}

// A group of panels stays in the caches while all rows pass over it.
void multiply_rows_block(const GemmBlock& g) {
  static const RowTiles<Order::rows> tiles;
  const RowTiling tiling(g.rows);
  const int64_t panels = (g.cols + 15) / 16;
  const int64_t group = tile_panels(tiling.count > 1 ? max_tile_rows : static_cast<int>(g.rows));
  const bool packs = panels > group && worth_packing(g, panels);
  if (packs) pack_rows(g, tiling);
  for (int64_t panel = 0; panel < panels; panel += group) {
    const int64_t end_panel = panel + group < panels ? panel + group : panels;
    for (int64_t tile = 0; tile < tiling.count; ++tile) {
      const int64_t first = tiling.first(tile), height = tiling.height(tile);
      GemmBlock t = g;
      t.a += first * g.a_row_stride;
      t.c += first * g.c_row_stride;
      if (packs) {
        t.a = g.packed_a + gemm_packed_floats(first, g.depth);
        t.a_row_stride = 16;
        t.a_step_stride = 16 * height;
      }
      if (tile + 1 < tiling.count) prefetch_c(g, first + height, tiling.height(tile + 1), panel, end_panel);
      tiles.by_rows[height](t, panel, end_panel);
    }
  }
}

void multiply_strips_block(const GemmBlock& g) {
  static const RowTiles<Order::strips> tiles;
  const int64_t panels = (g.cols + 15) / 16;
  const int64_t width = g.a_step_stride;
  const int64_t group = tile_panels(static_cast<int>(width));
  for (int64_t panel = 0; panel < panels; panel += group) {
    const int64_t end_panel = panel + group < panels ? panel + group : panels;
    GemmBlock t = g;
    for (int64_t first = 0; first < g.rows; first += width) {
      const int64_t rows = g.rows - first < width ? g.rows - first : width;
      tiles.by_rows[rows](t, panel, end_panel);
      t.a += g.a_row_stride;
      t.c += width * g.c_row_stride;
    }
  }
}

// While there is room a step stores 16 floats: what lies beyond its width is overwritten by the next steps.
void pack_strip(float* strip, const float* source, int64_t stride, int64_t cols, int64_t width, int64_t depth) {
  const float* end = strip + width * depth;
  const int lanes = static_cast<int>(cols);
  for (; strip + 16 <= end; strip += width, source += stride) store(strip, load_partial(source, lanes));
  for (; strip < end; strip += width, source += stride) {
    store_partial(strip, load_partial(source, lanes), static_cast<int>(width));
  }
}

}  // namespace

void fill_gemm(Kernels& table);
void fill_gemm(Kernels& table) {
  table.gemm_tile_rows = max_tile_rows;
  table.gemm = multiply_rows_block;
  table.gemm_strips = multiply_strips_block;
  table.pack_strip = pack_strip;
}

}  // namespace ajet::cpu::AJET_ISA
