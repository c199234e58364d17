// The CPU storage of a matrix w[rows, cols]: panels of 16 rows, so that a kernel reads 16 outputs as one vector.
// Element (n, k) lies at panel n / 16, then k, then lane n % 16. Rows are padded with zeros to a multiple of 16.
// Weights, gradients and moments have no other storage, whatever the instruction set.
#pragma once

#include <cstdint>

namespace ajet::cpu {

constexpr int64_t panel_rows = 16;

static constexpr int64_t panel_count(int64_t rows) { return (rows + panel_rows - 1) / panel_rows; }
static constexpr int64_t panel_elements(int64_t rows, int64_t cols) { return panel_count(rows) * panel_rows * cols; }
// Offset of element (n, 0); element (n, k) lies k * panel_rows further on.
static constexpr int64_t panel_row_offset(int64_t n, int64_t cols) {
  return (n / panel_rows) * panel_rows * cols + n % panel_rows;
}

}  // namespace ajet::cpu
