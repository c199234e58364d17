#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/row_tasks.h"

namespace ajet::cpu {

void CpuBackend::do_add(Tensor y, Tensor x) {
  parallel_rows(pool_, y.rows, y.cols,
                [&](int64_t row) { k_.add(y.f32() + row * y.stride, x.f32() + row * x.stride, y.cols); });
}

void CpuBackend::do_gather_rows(Tensor y, Tensor x, std::span<const int32_t> rows) {
  parallel_rows(pool_, y.rows, y.cols,
                [&](int64_t i) { std::copy_n(x.f32() + rows[i] * x.stride, y.cols, y.f32() + i * y.stride); });
}

void CpuBackend::do_scatter_add_rows(Tensor y, Tensor x, std::span<const int32_t> rows) {
  // Rows may repeat, so a task owns columns, not rows, and adds in ascending i.
  constexpr int64_t task_columns = 256;
  pool_.parallel_for((x.cols + task_columns - 1) / task_columns, [&](int64_t task) {
    const int64_t first = task * task_columns, count = std::min(task_columns, x.cols - first);
    for (int64_t i = 0; i < x.rows; ++i)
      k_.add(y.f32() + rows[i] * y.stride + first, x.f32() + i * x.stride + first, count);
  });
}

}  // namespace ajet::cpu
