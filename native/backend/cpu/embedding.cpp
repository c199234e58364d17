// Token embeddings: a row of the packed matrix is one lane of a panel, 16 floats apart.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/panels.h"

namespace ajet::cpu {

void CpuBackend::do_embedding(Tensor y, std::span<const int32_t> ids, const Weight& w,
                              std::span<const TokenLogprob> drawn) {
  constexpr int64_t rows_per_task = 16;
  const auto count = static_cast<int64_t>(ids.size());
  pool_.parallel_for((count + rows_per_task - 1) / rows_per_task, [&](int64_t task) {
    const int64_t end = std::min(count, (task + 1) * rows_per_task);
    for (int64_t m = task * rows_per_task; m < end; ++m) {
      const int32_t id = ids[m] >= 0 ? ids[m] : std::max(drawn[-1 - ids[m]].token, 0);
      const float* from = static_cast<const float*>(w.data) + panel_row_offset(id, w.cols);
      float* to = y.f32() + m * y.stride;
      for (int64_t k = 0; k < w.cols; ++k) to[k] = from[k * panel_rows];
    }
  });
}

// Threads share the columns, so that each element sums its rows in ascending m.
void CpuBackend::do_embedding_dw(const Weight& dw, std::span<const int32_t> ids, Tensor dy) {
  constexpr int64_t cols_per_task = 64;
  pool_.parallel_for((dw.cols + cols_per_task - 1) / cols_per_task, [&](int64_t task) {
    const int64_t begin = task * cols_per_task;
    const int64_t end = std::min(dw.cols, begin + cols_per_task);
    for (size_t m = 0; m < ids.size(); ++m) {
      float* to = static_cast<float*>(dw.data) + panel_row_offset(ids[m], dw.cols);
      const float* from = dy.f32() + static_cast<int64_t>(m) * dy.stride;
      for (int64_t k = begin; k < end; ++k) to[k * panel_rows] += from[k];
    }
  });
}

}  // namespace ajet::cpu
