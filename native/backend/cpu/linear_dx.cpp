// dx = dy · w through the forward's micro-kernel, whose vector operand must be packed along k or along m: either the
// weight is transposed block by block, or, for few rows, dy and dx are.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/linear_blocks.h"
#include "backend/cpu/panels.h"
#include "backend/cpu/task_scratch.h"

namespace ajet::cpu {
namespace {

// Outputs [first, first + depth) of the weight as panels over k: packed[panel of k][n - first][16].
void pack_weight(float* packed, const Weight& w, int64_t first, int64_t depth, ThreadPool& pool, const Kernels& k_) {
  pool.parallel_for(panel_count(w.cols), [&](int64_t k_panel) {
    const int64_t k = k_panel * panel_rows;
    for (int64_t n = 0; n < depth; n += panel_rows) {
      const float* from = static_cast<const float*>(w.data) + panel_row_offset(first + n, w.cols) + k * panel_rows;
      k_.rows_to_panel(packed + (k_panel * depth + n) * panel_rows, from, panel_rows, std::min(panel_rows, w.cols - k),
                       std::min(panel_rows, depth - n));
    }
  });
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
  // Floats to transpose on either way.
  if (dx.rows * (w.rows + 2 * w.cols) < w.rows * w.cols) {
    linear_dx_by_rows(dx, dy, w, accumulate);
  } else {
    linear_dx_by_weight(dx, dy, w, accumulate);
  }
}

// Rows of the product: m; vectors: 16 k.
void CpuBackend::linear_dx_by_weight(Tensor dx, Tensor dy, const Weight& w, bool accumulate) {
  const int64_t k_panels = panel_count(w.cols);
  const BlockGrid grid(dx.rows, k_panels, pool_.threads());
  const int64_t max_depth = std::min(w.rows, depth_block);
  const int64_t packed_floats = gemm_packed_floats(std::min(dx.rows, BlockGrid::max_rows), max_depth);
  const int64_t weight_floats = max_depth * k_panels * panel_rows;
  float* weight = scratch(weight_floats + scratch_slices(pool_, grid.tasks()) * packed_floats);
  float* packed = weight + weight_floats;
  for (int64_t n = 0; n == 0 || n < w.rows; n += depth_block) {
    const int64_t depth = std::min(depth_block, w.rows - n);
    pack_weight(weight, w, n, depth, pool_, k_);
    parallel_with_scratch(pool_, grid.tasks(), packed, packed_floats, [&](int64_t task, float* task_packed) {
      const Block block = grid.block(task);
      const int64_t first_col = block.first_panel * panel_rows;
      GemmBlock g{};
      g.a = dy.f32() + block.first_row * dy.stride + n;
      g.a_row_stride = dy.stride;
      g.a_step_stride = 16;
      g.b = weight + block.first_panel * depth * panel_rows;
      g.b_panel_stride = depth * panel_rows;
      g.c = dx.f32() + block.first_row * dx.stride + first_col;
      g.c_row_stride = dx.stride;
      g.c_panel_stride = panel_rows;
      g.rows = block.rows;
      g.cols = std::min(w.cols - first_col, block.panels * panel_rows);
      g.depth = depth;
      g.accumulate = accumulate || n > 0;
      g.packed_a = task_packed;
      k_.gemm(g);
    });
  }
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
