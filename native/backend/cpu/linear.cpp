// y = x · wᵀ: the panels of w are the vector operand, x is packed a block at a time.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/linear_blocks.h"
#include "backend/cpu/panels.h"
#include "backend/cpu/task_scratch.h"

namespace ajet::cpu {

void CpuBackend::do_linear(Tensor y, Tensor x, const Weight& w, Tensor bias, Tensor residual) {
  const BlockGrid grid(x.rows, panel_count(w.rows), op_threads());
  const int64_t packed_floats =
      gemm_packed_floats(std::min(x.rows, BlockGrid::max_rows), std::min(w.cols, depth_block));
  float* packed = scratch(scratch_slices(pool_, grid.tasks()) * packed_floats);
  parallel_with_scratch(pool_, grid.tasks(), packed, packed_floats, [&](int64_t task, float* task_packed) {
    const Block block = grid.block(task);
    const int64_t first_col = block.first_panel * panel_rows;
    GemmBlock g{};
    g.a_row_stride = x.stride;
    g.a_step_stride = 16;
    g.b_panel_stride = w.cols * panel_rows;
    g.c = y.f32() + block.first_row * y.stride + first_col;
    g.c_row_stride = y.stride;
    g.c_panel_stride = panel_rows;
    g.rows = block.rows;
    g.cols = std::min(w.rows - first_col, block.panels * panel_rows);
    g.packed_a = task_packed;
    for (int64_t k = 0; k == 0 || k < w.cols; k += depth_block) {
      g.a = x.f32() + block.first_row * x.stride + k;
      g.b = static_cast<const float*>(w.data) + block.first_panel * g.b_panel_stride + k * panel_rows;
      g.depth = std::min(depth_block, w.cols - k);
      g.accumulate = k > 0;
      g.bias = bias.data != nullptr && k + depth_block >= w.cols ? bias.f32() + first_col : nullptr;
      k_.gemm(g);
    }
    for (int64_t r = 0; residual.data != nullptr && r < block.rows; ++r)
      k_.add(g.c + r * y.stride, residual.f32() + (block.first_row + r) * residual.stride + first_col, g.cols);
  });
}

}  // namespace ajet::cpu
