// Blocks of C = A · B: packing of A and the order of the register tiles. Compiled once per instruction set.
#include "backend/cpu/gemm_tile.h"

namespace ajet::cpu::AJET_ISA {
namespace {

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

  explicit RowTiling(int64_t row_count) : rows(row_count), count((row_count + max_tile_rows - 1) / max_tile_rows) {}
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

// Row by row, as memory holds the source. While there is room a step stores 16 floats: what lies beyond its width is
// overwritten by the next steps.
void pack_strips(float* packed, const float* source, int64_t stride, int64_t cols, int64_t width, int64_t depth) {
  const int64_t full_strips = cols / width, rest = cols % width;
  for (int64_t t = 0; t < depth; ++t, source += stride) {
    float* to = packed + t * width;
    const bool room = (depth - t) * width >= 16;
    for (int64_t strip = 0; strip < full_strips; ++strip, to += depth * width) {
      const float* from = source + strip * width;
      if (room && strip * width + 16 <= cols) {
        store(to, load(from));
      } else {
        store_partial(to, load_partial(from, static_cast<int>(width)), static_cast<int>(width));
      }
    }
    if (rest > 0) {
      store_partial(to, load_partial(source + full_strips * width, static_cast<int>(rest)), static_cast<int>(width));
    }
  }
}

}  // namespace

void fill_gemm(Kernels& table);
void fill_gemm(Kernels& table) {
  table.gemm_tile_rows = max_tile_rows;
  table.gemm = multiply_rows_block;
  table.gemm_strips = multiply_strips_block;
  table.pack_strips = pack_strips;
}

}  // namespace ajet::cpu::AJET_ISA
