// dx = dy · w through the forward's micro-kernel, whose vector operand must be packed along k or along m: either the
// weight is transposed block by block, or, for few rows, dy and dx are.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/linear_blocks.h"
#include "backend/cpu/panels.h"
#include "backend/cpu/task_scratch.h"

namespace ajet::cpu {
namespace {

constexpr int64_t max_rows_transposed = 192;
constexpr int64_t weight_depth = 256;  // outputs of the weight transposed at a time, with up to 64 panels 1 MiB

// Outputs [first, first + depth) of panels of k of the weight, transposed: packed[panel of k][n - first][16].
void pack_weight(float* packed, const Weight& w, int64_t first, int64_t depth, int64_t first_panel, int64_t panels,
                 const Kernels& k_) {
  for (int64_t panel = 0; panel < panels; ++panel) {
    const int64_t k = (first_panel + panel) * panel_rows;
    for (int64_t n = 0; n < depth; n += panel_rows) {
      const float* from = static_cast<const float*>(w.data) + panel_row_offset(first + n, w.cols) + k * panel_rows;
      k_.rows_to_panel(packed + (panel * depth + n) * panel_rows, from, panel_rows, std::min(panel_rows, w.cols - k),
                       std::min(panel_rows, depth - n));
    }
  }
}

// Rows of t as panels of 16 rows: packed[panel of m][n][16].
void pack_rows(float* packed, const Tensor& t, ThreadPool& pool, const Kernels& k_) {
  pool.parallel_for(panel_count(t.rows), [&](int64_t panel) {
    const int64_t m = panel * panel_rows;
    k_.rows_to_panel(packed + m * t.cols, t.f32() + m * t.stride, t.stride, std::min(panel_rows, t.rows - m), t.cols);
  });
}

void unpack_rows(const Tensor& t, const float* packed, bool accumulate, ThreadPool& pool, const Kernels& k_) {
  pool.parallel_for(panel_count(t.rows), [&](int64_t panel) {
    const int64_t m = panel * panel_rows;
    k_.panel_to_rows(t.f32() + m * t.stride, t.stride, packed + m * t.cols, std::min(panel_rows, t.rows - m), t.cols,
                     accumulate);
  });
}

}  // namespace

void CpuBackend::do_linear_dx(Tensor dx, Tensor dy, const Weight& w, bool accumulate) {
  // Floats to transpose on either way; over many rows the weight's transposition costs little.
  if (dx.rows < max_rows_transposed && dx.rows * (w.rows + 2 * w.cols) < w.rows * w.cols) {
    linear_dx_by_rows(dx, dy, w, accumulate);
  } else {
    linear_dx_by_weight(dx, dy, w, accumulate);
  }
}

// Rows of the product: m; vectors: 16 k. Each task transposes its part of the weight itself: what another core has
// packed would have to cross over.
void CpuBackend::linear_dx_by_weight(Tensor dx, Tensor dy, const Weight& w, bool accumulate) {
  const EvenSplit split({dx.rows, 64, 1024}, {panel_count(w.cols), 4, 64}, pool_.threads());
  const int64_t max_depth = std::min(w.rows, weight_depth);
  const int64_t weight_floats = max_depth * divide_up(split.panels.count, split.panels.parts) * panel_rows;
  const int64_t packed_floats = weight_floats + gemm_packed_floats(std::min(dx.rows, BlockGrid::max_rows), max_depth);
  float* packed = scratch(scratch_slices(pool_, split.tasks()) * packed_floats);
  parallel_with_scratch(pool_, split.tasks(), packed, packed_floats, [&](int64_t task, float* weight) {
    const Block block = split.block(task);
    const int64_t first_col = block.first_panel * panel_rows;
    const int64_t row_blocks = divide_up(block.rows, BlockGrid::max_rows);
    GemmBlock g{};
    g.a_row_stride = dy.stride;
    g.a_step_stride = 16;
    g.b = weight;
    g.c_row_stride = dx.stride;
    g.c_panel_stride = panel_rows;
    g.cols = std::min(w.cols - first_col, block.panels * panel_rows);
    g.packed_a = weight + weight_floats;
    for (int64_t n = 0; n == 0 || n < w.rows; n += weight_depth) {
      g.depth = std::min(weight_depth, w.rows - n);
      g.b_panel_stride = g.depth * panel_rows;
      g.accumulate = accumulate || n > 0;
      pack_weight(weight, w, n, g.depth, block.first_panel, block.panels, k_);
      for (int64_t i = 0; i < row_blocks; ++i) {
        const int64_t row = block.first_row + block.rows * i / row_blocks;
        g.rows = block.first_row + block.rows * (i + 1) / row_blocks - row;
        g.a = dy.f32() + row * dy.stride + n;
        g.c = dx.f32() + row * dx.stride + first_col;
        k_.gemm(g);
      }
    }
  });
}

// Rows of the product: k, read from the weight's panels in place; vectors: 16 m. The product is dxᵀ.
void CpuBackend::linear_dx_by_rows(Tensor dx, Tensor dy, const Weight& w, bool accumulate) {
  const int64_t m_panels = panel_count(dx.rows);
  const BlockGrid grid(w.cols, m_panels, pool_.threads());
  const int64_t max_depth = std::min(w.rows, depth_block);
  // With few rows the weight is read once, and short steps read it almost in sequence.
  const int64_t step = m_panels <= 2 ? 4 * panel_rows : depth_block;
  const int64_t packed_floats = gemm_packed_floats(std::min(w.cols, BlockGrid::max_rows), max_depth);
  const int64_t dy_floats = m_panels * panel_rows * max_depth;
  const int64_t dx_floats = m_panels * panel_rows * w.cols;
  float* packed_dy = scratch(dy_floats + dx_floats + scratch_slices(pool_, grid.tasks()) * packed_floats);
  float* packed_dx = packed_dy + dy_floats;
  float* packed = packed_dx + dx_floats;
  for (int64_t n = 0; n < w.rows; n += depth_block) {
    const int64_t depth = std::min(depth_block, w.rows - n);
    pack_rows(packed_dy, dy.slice_cols(n, depth), pool_, k_);
    parallel_with_scratch(pool_, grid.tasks(), packed, packed_floats, [&](int64_t task, float* task_packed) {
      const Block block = grid.block(task);
      GemmBlock g{};
      g.a_row_stride = panel_rows;
      g.a_step_stride = w.cols * panel_rows;
      g.b_panel_stride = depth * panel_rows;
      g.c = packed_dx + (block.first_panel * w.cols + block.first_row) * panel_rows;
      g.c_row_stride = panel_rows;
      g.c_panel_stride = w.cols * panel_rows;
      g.rows = block.rows;
      g.cols = block.panels * panel_rows;
      g.packed_a = task_packed;
      for (int64_t t = 0; t < depth; t += step) {
        g.a = static_cast<const float*>(w.data) + (n + t) * w.cols + block.first_row * panel_rows;
        g.b = packed_dy + (block.first_panel * depth + t) * panel_rows;
        g.depth = std::min(step, depth - t);
        g.accumulate = n + t > 0;
        k_.gemm(g);
      }
    });
  }
  unpack_rows(dx, packed_dx, accumulate, pool_, k_);
}

}  // namespace ajet::cpu
