#include "model/path_cache.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <string>

#include "base/error.h"
#include "tensor/section.h"

namespace ajet {
namespace {

[[noreturn]] void fail_order(const char* op, const std::string& expected, int64_t first_row, int64_t end_row) {
  fail(ErrorCode::invalid_argument, std::string("[") + op + "] Expected " + expected + " but received rows [" +
                                        std::to_string(first_row) + ", " + std::to_string(end_row) + ")");
}

int64_t elements_of(const ModelConfig& config, int64_t rows) {
  return config.layers * 2 * rows * config.kv_heads * config.head_dim;
}

// Of the keys and values, so that gradients behind them are aligned.
size_t state_bytes(const ModelConfig& config, DType dtype, int64_t rows) {
  return section_bytes(1, elements_of(config, rows), dtype);
}

size_t gradient_bytes(const ModelConfig& config, int64_t rows) {
  return static_cast<size_t>(elements_of(config, rows)) * sizeof(float);
}

}  // namespace

size_t PathCache::bytes(const ModelConfig& config, DType compute_dtype, int64_t rows, bool with_gradients) {
  return state_bytes(config, compute_dtype, rows) + (with_gradients ? gradient_bytes(config, rows) : 0);
}

void PathCache::start(Backend& backend, const ModelConfig& config, int64_t rows, bool with_gradients) {
  dtype_ = backend.compute_dtype();
  rows_ = rows;
  cols_ = config.kv_heads * config.head_dim;
  computed_ = 0;
  complete_from_ = with_gradients ? rows : -1;
  gradients_offset_ = state_bytes(config, dtype_, rows);
  const size_t needed = bytes(config, dtype_, rows, with_gradients);
  if (needed > buffer_.bytes()) {
    buffer_ = Buffer{};  // freed before the larger one is asked for
    buffer_ = backend.allocate(needed);
  } else if (with_gradients) {
    backend.zero(static_cast<char*>(buffer_.data()) + gradients_offset_, gradient_bytes(config, rows));
  }
  row_indices_.resize(static_cast<size_t>(rows));
  std::iota(row_indices_.begin(), row_indices_.end(), 0);
}

void PathCache::begin_forward(int64_t first_row, int64_t end_row) {
  if (first_row > computed_ || end_row > rows_) {
    fail_order(
        "forward_tree",
        "a segment of " + std::to_string(rows_) + " rows after " + std::to_string(computed_) + " that are computed",
        first_row, end_row);
  }
  computed_ = std::max(computed_, end_row);
}

void PathCache::begin_backward(int64_t first_row, int64_t end_row) {
  if (end_row != complete_from_)
    fail_order("backward_tree", "a segment that ends at row " + std::to_string(complete_from_), first_row, end_row);
  complete_from_ = first_row;
}

void PathCache::store(Backend& backend, int64_t layer, int64_t first_row, Tensor k, Tensor v) {
  const std::span<const int32_t> all = std::span(row_indices_).first(static_cast<size_t>(k.rows));
  backend.gather_rows(keys(layer, rows_).slice_rows(first_row, k.rows), k, all);
  backend.gather_rows(values(layer, rows_).slice_rows(first_row, v.rows), v, all);
}

void PathCache::load_gradients(Backend& backend, int64_t layer, int64_t first_row, Tensor dk, Tensor dv) const {
  const std::span<const int32_t> rows =
      std::span(row_indices_).subspan(static_cast<size_t>(first_row), static_cast<size_t>(dk.rows));
  backend.gather_rows(dk, key_gradients(layer, rows_), rows);
  backend.gather_rows(dv, value_gradients(layer, rows_), rows);
}

Tensor PathCache::matrix(size_t offset, DType dtype, int64_t index, int64_t rows) const {
  char* data = static_cast<char*>(buffer_.data()) + offset + index * rows_ * cols_ * dtype_bytes(dtype);
  return {data, dtype, rows, cols_, cols_};
}

}  // namespace ajet
