#include "backend/cpu/panels.h"

#include <algorithm>
#include <string>

#include "backend/cpu/cpu_backend.h"
#include "base/error.h"

namespace ajet::cpu {
namespace {

void check_rows(const char* op, const Weight& w, int64_t first_row, int64_t count) {
  if (first_row < 0 || count < 0 || first_row + count > w.rows) {
    fail(ErrorCode::invalid_argument, std::string("[") + op + "] Expected rows within " + std::to_string(w.rows) +
                                          " for `first_row`, `count` but received " + std::to_string(first_row) + ", " +
                                          std::to_string(count));
  }
}

// Calls part(panel, lane, lanes, row) for the piece of each panel that rows [first_row, first_row + count) cover;
// `row` counts from first_row.
template <typename Part>
void for_each_panel(ThreadPool& pool, int64_t first_row, int64_t count, const Part& part) {
  const int64_t first_panel = first_row / panel_rows;
  const int64_t end_panel = panel_count(first_row + count);
  pool.parallel_for(count > 0 ? end_panel - first_panel : 0, [&](int64_t i) {
    const int64_t panel = first_panel + i;
    const int64_t begin = std::max(first_row, panel * panel_rows);
    const int64_t end = std::min(first_row + count, (panel + 1) * panel_rows);
    part(panel, begin % panel_rows, end - begin, begin - first_row);
  });
}

}  // namespace

int64_t CpuBackend::weight_elements(int64_t rows, int64_t cols) const { return panel_elements(rows, cols); }

void CpuBackend::write_weight_rows(const Weight& w, int64_t first_row, int64_t count, const float* host) {
  check_rows("write_weight_rows", w, first_row, count);
  for_each_panel(pool_, first_row, count, [&](int64_t panel, int64_t lane, int64_t lanes, int64_t row) {
    float* to = static_cast<float*>(w.data) + panel * panel_rows * w.cols + lane;
    const float* from = host + row * w.cols;
    for (int64_t k = 0; k < w.cols; ++k) {
      for (int64_t i = 0; i < lanes; ++i) to[k * panel_rows + i] = from[i * w.cols + k];
    }
  });
}

void CpuBackend::read_weight_rows(float* host, const Weight& w, int64_t first_row, int64_t count) {
  check_rows("read_weight_rows", w, first_row, count);
  for_each_panel(pool_, first_row, count, [&](int64_t panel, int64_t lane, int64_t lanes, int64_t row) {
    const float* from = static_cast<const float*>(w.data) + panel * panel_rows * w.cols + lane;
    k_.panel_to_rows(host + row * w.cols, w.cols, from, lanes, w.cols, false);
  });
}

}  // namespace ajet::cpu
