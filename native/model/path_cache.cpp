#include "model/path_cache.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <string>

#include "base/error.h"

namespace ajet {
namespace {

[[noreturn]] void fail_order(const char* op, const std::string& expected, int64_t first_row, int64_t end_row) {
  fail(ErrorCode::invalid_argument, std::string("[") + op + "] Expected " + expected + " but received rows [" +
                                        std::to_string(first_row) + ", " + std::to_string(end_row) + ")");
}

// Whether the buffer is a new one, of zeros.
bool grow(Backend& backend, Buffer& buffer, size_t bytes) {
  if (bytes <= buffer.bytes()) return false;
  buffer = Buffer{};  // freed before the larger one is asked for
  buffer = backend.allocate(bytes);
  return true;
}

}  // namespace

void PathCache::start(Backend& backend, const ModelConfig& config, int64_t rows, bool with_gradients) {
  dtype_ = backend.compute_dtype();
  rows_ = rows;
  cols_ = config.kv_heads * config.head_dim;
  computed_ = 0;
  complete_from_ = with_gradients ? rows : -1;
  const int64_t elements = config.layers * 2 * rows * cols_;
  grow(backend, buffer_, static_cast<size_t>(elements * dtype_bytes(dtype_)));
  if (with_gradients) {
    const size_t bytes = static_cast<size_t>(elements) * sizeof(float);
    if (!grow(backend, gradients_, bytes)) backend.zero(gradients_.data(), bytes);
  }
  row_indices_.resize(static_cast<size_t>(rows));
  std::iota(row_indices_.begin(), row_indices_.end(), 0);
}

void PathCache::begin_forward(int64_t first_row, int64_t end_row) {
  if (first_row > computed_ || end_row > rows_) {
    fail_order("forward_tree", "a segment of " + std::to_string(rows_) + " rows after " + std::to_string(computed_) +
                                   " that are computed", first_row, end_row);
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

Tensor PathCache::matrix(const Buffer& buffer, DType dtype, int64_t index, int64_t rows) const {
  return {static_cast<char*>(buffer.data()) + index * rows_ * cols_ * dtype_bytes(dtype), dtype, rows, cols_, cols_};
}

}  // namespace ajet
