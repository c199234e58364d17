// dw[n,k] += Σ_m dy[m,n] x[m,k], straight into the panels of dw: a register tile has k as rows and 16 n as columns.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/linear_blocks.h"
#include "backend/cpu/panels.h"

namespace ajet::cpu {
namespace {

constexpr int64_t max_packed_panels = 128;  // of dy at a time: with depth_block rows 4 MiB

constexpr int64_t max_strips = 8;           // of x in a task: they stay in the L2 cache

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// x's columns in strips as wide as a register tile has rows: packed[strip][m][width].
struct Strips {
  Strips(int64_t cols, int64_t max_width) : count(divide_up(cols, max_width)), width(divide_up(cols, count)) {}
  int64_t count;
  int64_t width;
};

void pack_strip(float* packed, const Tensor& x, const Strips& strips, int64_t strip, const Kernels& k_) {
  const int64_t first = strip * strips.width;
  const int64_t width = std::min(strips.width, x.cols - first);
  if (width <= 0) return;
  k_.pack_strip(packed + strip * strips.width * x.rows, x.f32() + first, x.stride, width, strips.width, x.rows);
}

// packed[m][16] = 16 columns of dy from column n on; dbias[n ...] += their sums
void pack_panel(float* packed, const Tensor& dy, int64_t n, const Tensor& dbias, const Kernels& k_) {
  const int64_t lanes = std::min(panel_rows, dy.cols - n);
  k_.pack_strip(packed, dy.f32() + n, dy.stride, lanes, panel_rows, dy.rows);
  if (dbias.data == nullptr) return;
  float* sums = dbias.f32() + n;
  for (int64_t m = 0; m < dy.rows; ++m) {
    for (int64_t lane = 0; lane < lanes; ++lane) sums[lane] += packed[m * panel_rows + lane];
  }
}

}  // namespace

void CpuBackend::do_linear_dw(const Weight& dw, Tensor dbias, Tensor dy, Tensor x) {
  const Strips strips(std::max<int64_t>(1, x.cols), k_.gemm_tile_rows);
  const int64_t panels = panel_count(dw.rows);
  const int64_t max_depth = std::min(dy.rows, depth_block);
  const int64_t dy_floats = std::min(panels, max_packed_panels) * panel_rows * max_depth;
  float* packed_dy = scratch(dy_floats + strips.count * strips.width * max_depth);
  float* packed_x = packed_dy + dy_floats;
  for (int64_t m = 0; m < dy.rows; m += depth_block) {
    const int64_t depth = std::min(depth_block, dy.rows - m);
    const Tensor dy_rows = dy.slice_rows(m, depth), x_rows = x.slice_rows(m, depth);
    for (int64_t first_panel = 0; first_panel < panels; first_panel += max_packed_panels) {
      const int64_t count = std::min(max_packed_panels, panels - first_panel);
      const int64_t new_strips = first_panel == 0 ? strips.count : 0;
      pool_.parallel_for(new_strips + count, [&](int64_t i) {
        if (i < new_strips) {
          pack_strip(packed_x, x_rows, strips, i, k_);
        } else {
          const int64_t panel = i - new_strips;
          pack_panel(packed_dy + panel * panel_rows * depth, dy_rows, (first_panel + panel) * panel_rows, dbias, k_);
        }
      });
      const BlockGrid grid(strips.count, count, pool_.threads(), max_strips);
      pool_.parallel_for(grid.tasks(), [&](int64_t task) {
        const Block block = grid.block(task);
        const int64_t first_row = block.first_row * strips.width;
        GemmBlock g{};
        g.a = packed_x + first_row * depth;
        g.a_row_stride = strips.width * depth;
        g.a_step_stride = strips.width;
        g.b = packed_dy + block.first_panel * depth * panel_rows;
        g.b_panel_stride = depth * panel_rows;
        g.c = static_cast<float*>(dw.data) + ((first_panel + block.first_panel) * dw.cols + first_row) * panel_rows;
        g.c_row_stride = panel_rows;
        g.c_panel_stride = dw.cols * panel_rows;
        g.rows = std::min(block.rows * strips.width, dw.cols - first_row);
        g.cols = block.panels * panel_rows;
        g.depth = depth;
        g.accumulate = true;
        k_.gemm_strips(g);
      });
    }
  }
}

}  // namespace ajet::cpu
