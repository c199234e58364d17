// Runs a tree that is too large for one pass in segments of its rows. First the segments' forward passes in order,
// each leaving its keys and values here; then, from the last segment to the first, the forward pass again with
// activations kept, and its backward pass, which adds to the gradients of all keys and values up to the segment's end.
// A segment's own are complete by then: every later row has added its share.
#pragma once

#include <vector>

#include "backend/backend.h"
#include "model/model_config.h"

namespace ajet {

class PathCache {
 public:
  // What start() needs.
  static size_t bytes(const ModelConfig& config, DType compute_dtype, int64_t rows, bool with_gradients);
  // Everything lies in this memory from now on, as long as it fits.
  void place(Buffer memory) { buffer_ = std::move(memory); }

  // Starts a tree of so many rows, with nothing computed. Allocates only when that needs more than ever before.
  void start(Backend& backend, const ModelConfig& config, int64_t rows, bool with_gradients);

  // Rows [first_row, end_row) are about to be computed: every row before them has been.
  void begin_forward(int64_t first_row, int64_t end_row);
  // They send their gradients back: all later rows have done so.
  void begin_backward(int64_t first_row, int64_t end_row);

  // Keeps k, v[m, kv_heads*head_dim] of the rows from first_row on.
  void store(Backend& backend, int64_t layer, int64_t first_row, Tensor k, Tensor v);
  // Copies the gradients of the rows from first_row on to dk, dv[m, kv_heads*head_dim].
  void load_gradients(Backend& backend, int64_t layer, int64_t first_row, Tensor dk, Tensor dv) const;

  // The first `rows` rows [rows, kv_heads*head_dim] of one layer.
  Tensor keys(int64_t layer, int64_t rows) const { return matrix(0, dtype_, 2 * layer, rows); }
  Tensor values(int64_t layer, int64_t rows) const { return matrix(0, dtype_, 2 * layer + 1, rows); }
  Tensor key_gradients(int64_t layer, int64_t rows) const {
    return matrix(gradients_offset_, DType::f32, 2 * layer, rows);
  }
  Tensor value_gradients(int64_t layer, int64_t rows) const {
    return matrix(gradients_offset_, DType::f32, 2 * layer + 1, rows);
  }

 private:
  Tensor matrix(size_t offset, DType dtype, int64_t index, int64_t rows) const;

  // [layers][2][rows][kv_heads*head_dim] in the backend's compute type; as many gradients behind them, f32, since
  // segments add to them.
  Buffer buffer_;
  size_t gradients_offset_ = 0;
  DType dtype_ = DType::f32;
  int64_t rows_ = 0, cols_ = 0;
  int64_t computed_ = 0;              // rows whose keys and values are here
  int64_t complete_from_ = 0;         // rows from here on have sent their gradients; -1: there are no gradients
  std::vector<int32_t> row_indices_;  // 0, 1, ...
};

}  // namespace ajet
