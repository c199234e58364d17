// dw[n,k] += Σ_m dy[m,n] x[m,k], straight into the panels of dw: a register tile has k as rows and 16 n as columns.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/linear_blocks.h"
#include "backend/cpu/panels.h"
#include "backend/cpu/task_scratch.h"

namespace ajet::cpu {
namespace {

constexpr int64_t packed_rows = 192;  // of x and dy at a time
// Strips of x and panels of dy in a task, at most: wide enough that packing costs little beside the products.
constexpr int64_t max_strips = 64;
constexpr int64_t max_panels = 64;

// x's columns in strips as wide as a register tile has rows: packed[strip][m][width].
struct Strips {
  Strips(int64_t cols, int64_t max_width) : count(divide_up(cols, max_width)), width(divide_up(cols, count)) {}
  int64_t count;
  int64_t width;
};

// dbias[n] += the sums of packed[panel][m][16] over ascending m
void add_column_sums(float* dbias, const float* packed, int64_t cols, int64_t depth) {
  for (int64_t n = 0; n < cols; n += panel_rows, packed += depth * panel_rows) {
    const int64_t lanes = std::min(panel_rows, cols - n);
    for (int64_t m = 0; m < depth; ++m) {
      for (int64_t lane = 0; lane < lanes; ++lane) dbias[n + lane] += packed[m * panel_rows + lane];
    }
  }
}

}  // namespace

// Each task packs what it needs of both operands itself: what another core has packed would have to cross over.
void CpuBackend::do_linear_dw(const Weight& dw, Tensor dbias, Tensor dy, Tensor x) {
  const Strips strips(std::max<int64_t>(1, x.cols), k_.gemm_tile_rows);
  const int64_t panels = panel_count(dw.rows);
  const EvenSplit split({strips.count, 4, max_strips}, {panels, 4, max_panels}, pool_.threads());
  const int64_t max_depth = std::min(dy.rows, packed_rows);
  const int64_t most_strips = divide_up(strips.count, split.rows.parts);
  const int64_t most_panels = divide_up(panels, split.panels.parts);
  const int64_t packed_floats = max_depth * (most_strips * strips.width + most_panels * panel_rows);
  float* packed = scratch(scratch_slices(pool_, split.tasks()) * packed_floats);
  parallel_with_scratch(pool_, split.tasks(), packed, packed_floats, [&](int64_t task, float* packed_x) {
    const Block block = split.block(task);
    const int64_t first_k = block.first_row * strips.width, first_n = block.first_panel * panel_rows;
    GemmBlock g{};
    g.a = packed_x;
    g.a_step_stride = strips.width;
    g.c = static_cast<float*>(dw.data) + block.first_panel * dw.cols * panel_rows + first_k * panel_rows;
    g.c_row_stride = panel_rows;
    g.c_panel_stride = dw.cols * panel_rows;
    g.rows = std::min(block.rows * strips.width, dw.cols - first_k);
    g.cols = std::min(block.panels * panel_rows, dw.rows - first_n);
    g.accumulate = true;
    for (int64_t m = 0; m < dy.rows; m += packed_rows) {
      g.depth = std::min(packed_rows, dy.rows - m);
      float* packed_dy = packed_x + block.rows * strips.width * g.depth;
      k_.pack_strips(packed_x, x.f32() + m * x.stride + first_k, x.stride, g.rows, strips.width, g.depth);
      k_.pack_strips(packed_dy, dy.f32() + m * dy.stride + first_n, dy.stride, g.cols, panel_rows, g.depth);
      if (dbias.data != nullptr && block.first_row == 0) {
        add_column_sums(dbias.f32() + first_n, packed_dy, g.cols, g.depth);
      }
      g.a_row_stride = strips.width * g.depth;
      g.b = packed_dy;
      g.b_panel_stride = g.depth * panel_rows;
      k_.gemm_strips(g);
    }
  });
}

}  // namespace ajet::cpu
