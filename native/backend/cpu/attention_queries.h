// Glue between tensors and the attention kernels: the queries of a key/value head, and rows of a block.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/attention_kernels.h"
#include "backend/cpu/kernels.h"

namespace ajet::cpu {

// Queries of one key/value head: rows in ascending order, for each the heads of the group.
class QueryList {
 public:
  QueryList(const AttentionShape& shape, int64_t kv_head)
      : shape_(shape), group_(shape.heads / shape.kv_heads), first_head_(kv_head * group_) {}

  int64_t group() const { return group_; }

  // Rows [first_row, first_row + rows) at consecutive positions; lse.data may be null.
  void assign(Tensor q, Tensor o, Tensor lse, int64_t first_row, int64_t rows, int64_t position) {
    q_.clear();
    o_.clear();
    lse_.clear();
    positions_.clear();
    for (int64_t row = first_row; row < first_row + rows; ++row) {
      for (int64_t head = first_head_; head < first_head_ + group_; ++head) {
        q_.push_back(q.f32() + row * q.stride + head * shape_.head_dim);
        o_.push_back(o.f32() + row * o.stride + head * shape_.head_dim);
        if (lse.data != nullptr) lse_.push_back(lse.f32() + row * lse.stride + head);
        positions_.push_back(static_cast<int32_t>(position + row - first_row));
      }
    }
  }

  AttentionTile tile(const float* const* blocks) const {
    return {
        static_cast<int64_t>(q_.size()),      shape_.head_dim, shape_.scale, q_.data(), positions_.data(), o_.data(),
        lse_.empty() ? nullptr : lse_.data(), blocks};
  }

 private:
  AttentionShape shape_;
  int64_t group_;
  int64_t first_head_;
  std::vector<const float*> q_;
  std::vector<float*> o_;
  std::vector<float*> lse_;
  std::vector<int32_t> positions_;
};

// Consecutive positions of one key/value head, rows `stride` floats apart.
struct RowRun {
  const float* first;
  int64_t stride;
  int64_t rows;
};

// blocks[b][d][slot] = row[d] for the positions from `position` on; block b lies at block(b) and holds positions
// 16b .. 16b + 15.
template <typename BlockAt>
void write_transposed(const Kernels& kernels, const BlockAt& block, int64_t position, const RowRun& run, int64_t dim) {
  for (int64_t r = 0; r < run.rows;) {
    const int64_t slot = (position + r) % attention_block_keys;
    float* target = block((position + r) / attention_block_keys);
    const float* row = run.first + r * run.stride;
    if (slot == 0 && run.rows - r >= attention_block_keys) {
      kernels.rows_to_panel(target, row, run.stride, attention_block_keys, dim);
      r += attention_block_keys;
    } else {
      for (int64_t d = 0; d < dim; ++d) target[d * attention_block_keys + slot] = row[d];
      ++r;
    }
  }
}

// to[padded_dim] = row[dim], zeros behind
inline void write_padded(float* to, const float* row, int64_t dim) {
  std::copy_n(row, dim, to);
  std::fill_n(to + dim, padded_dim(dim) - dim, 0.0F);
}

// Stores keys and values into their blocks (layout in attention_kernels.h).
template <typename BlockAt>
void write_blocks(const Kernels& kernels, const BlockAt& block, int64_t position, const RowRun& keys,
                  const RowRun& values, int64_t dim) {
  write_transposed(kernels, block, position, keys, dim);
  for (int64_t r = 0; r < values.rows; ++r) {
    const int64_t slot = (position + r) % attention_block_keys;
    write_padded(block((position + r) / attention_block_keys) + block_values_offset(dim) + slot * padded_dim(dim),
                 values.first + r * values.stride, dim);
  }
}

// `rows` rows of one key/value head of a tensor.
inline RowRun head_rows(Tensor x, int64_t first_row, int64_t rows, int64_t kv_head, int64_t dim) {
  return {x.f32() + first_row * x.stride + kv_head * dim, x.stride, rows};
}

}  // namespace ajet::cpu
