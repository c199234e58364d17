// Teams of threads that share one group of neighbouring columns, eight columns a thread, for norms: which thread holds
// which columns, and so the order of every sum, depends on the group's width alone.
#pragma once

#include "backend/cuda/device/rows.cuh"
#include "backend/cuda/device/warp.cuh"
#include "base/error.h"

namespace ajet::cuda {

template <int threads_>
struct Team {
  static constexpr int threads = threads_;
  static constexpr int block = threads <= warp_lanes ? 128 : threads;
  static constexpr int teams = block / threads;  // of a block
  static constexpr int64_t max_width = int64_t{threads} * vector_width;

  static AJET_DEVICE int index() { return static_cast<int>(threadIdx.x) / threads; }
  // First column of this thread.
  static AJET_DEVICE int64_t column() { return static_cast<int>(threadIdx.x) % threads * vector_width; }
  static AJET_DEVICE float sum(float value, float* scratch) {
    if constexpr (threads <= warp_lanes) {
      return warp_sum<threads>(value);
    } else {
      return block_sum<threads>(value, scratch);
    }
  }
};

// The groups of all rows: group g is columns [width * (g % per_row), + width) of row g / per_row.
struct Groups {
  int64_t count, per_row, width;

  Groups(int64_t rows, int64_t cols, int64_t group_width)
      : count(rows * (cols / group_width)), per_row(cols / group_width), width(group_width) {}
  template <typename T>
  AJET_DEVICE T* begin(const Rows<T>& rows, int64_t group) const {
    const int64_t row = group / per_row;
    return rows.row(row) + (group - row * per_row) * width;
  }
  friend bool operator==(const Groups&, const Groups&) = default;
};

// As rows_of, for access by groups.
template <typename T>
Rows<T> groups_of(const Tensor& tensor, const Groups& groups) {
  Rows<T> rows = rows_of<T>(tensor);
  rows.vectorized = rows.vectorized && groups.width % vector_width == 0;
  return rows;
}

// Calls body(Team{}) with the team for groups of this width.
template <typename Body>
void with_team(const char* op, int64_t width, const Body& body) {
  if (width <= Team<16>::max_width) return body(Team<16>{});
  if (width <= Team<32>::max_width) return body(Team<32>{});
  if (width <= Team<128>::max_width) return body(Team<128>{});
  if (width <= Team<256>::max_width) return body(Team<256>{});
  if (width <= Team<512>::max_width) return body(Team<512>{});
  if (width <= Team<1024>::max_width) return body(Team<1024>{});
  fail(ErrorCode::invalid_argument, std::string("[") + op + "] Expected at most " +
                                        std::to_string(Team<1024>::max_width) + " for `width` but received " +
                                        std::to_string(width));
}

}  // namespace ajet::cuda
