// What the public ops require of their arguments. Each check throws invalid_argument,
// "[op] Expected X for `name` but received Y".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include "backend/batch_layout.h"
#include "base/error.h"
#include "tensor/tensor.h"

namespace ajet::checks {

// Texts and whole numbers, one after another.
template <typename... Parts>
inline std::string text(const Parts&... parts) {
  std::string joined;
  const auto append = [&](const auto& part) {
    if constexpr (std::is_arithmetic_v<std::decay_t<decltype(part)>>) {
      joined += std::to_string(part);
    } else {
      joined += part;
    }
  };
  (append(parts), ...);
  return joined;
}

[[noreturn]] inline void fail_check(const char* op, const std::string& expected, const char* name,
                                    const std::string& actual) {
  fail(ErrorCode::invalid_argument, text("[", op, "] Expected ", expected, " for `", name, "` but received ", actual));
}

inline std::string shape_text(int64_t rows, int64_t cols) { return text("[", rows, ", ", cols, "]"); }

inline const char* dtype_text(DType dtype) {
  return dtype == DType::bf16 ? "bfloat16" : dtype == DType::i32 ? "int32" : "float32";
}

// t is [rows, cols] of float32, or of `other`, with memory and a stride that covers its columns.
inline void check_matrix(const char* op, const char* name, const Tensor& t, int64_t rows, int64_t cols,
                         DType other = DType::f32) {
  if (t.dtype != DType::f32 && t.dtype != other) {
    const std::string expected = other == DType::f32 ? "float32" : text("float32 or ", dtype_text(other));
    fail_check(op, expected, name, dtype_text(t.dtype));
  }
  if (t.rows != rows || t.cols != cols) {
    fail_check(op, "shape " + shape_text(rows, cols), name, shape_text(t.rows, t.cols));
  }
  if (t.rows > 1 && t.stride < t.cols) {
    fail_check(op, text("a stride of at least ", t.cols), name, std::to_string(t.stride));
  }
  if (t.data == nullptr && t.rows > 0 && t.cols > 0) fail_check(op, "memory", name, "null");
}

// The tensor that fixes the op's sizes: any shape without negative numbers.
inline void check_matrix(const char* op, const char* name, const Tensor& t, DType other = DType::f32) {
  if (t.rows < 0 || t.cols < 0) fail_check(op, "sizes >= 0", name, shape_text(t.rows, t.cols));
  check_matrix(op, name, t, t.rows, t.cols, other);
}

inline void check_vector(const char* op, const char* name, const Tensor& t, int64_t size) {
  check_matrix(op, name, t, 1, size);
}

inline void check_weight(const char* op, const char* name, const Weight& w, int64_t rows, int64_t cols,
                         DType dtype = DType::f32) {
  if (w.dtype != dtype) fail_check(op, dtype_text(dtype), name, dtype_text(w.dtype));
  if (w.rows != rows || w.cols != cols) {
    fail_check(op, "shape " + shape_text(rows, cols), name, shape_text(w.rows, w.cols));
  }
  if (w.data == nullptr && w.rows > 0 && w.cols > 0) fail_check(op, "memory", name, "null");
}

template <typename T>
inline void check_size(const char* op, const char* name, std::span<T> values, int64_t size) {
  if (static_cast<int64_t>(values.size()) != size) {
    fail_check(op, text(size, " elements"), name, std::to_string(values.size()));
  }
}

// Every value lies in [0, limit).
inline void check_ids(const char* op, const char* name, std::span<const int32_t> ids, int64_t limit,
                      int64_t least = 0) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < least || ids[i] >= limit) {
      fail_check(op, text("ids in [", least, ", ", limit, ")"), name, text(ids[i], " at index ", i));
    }
  }
}

inline void check_multiple(const char* op, const char* name, int64_t value, int64_t divisor) {
  if (divisor <= 0 || value % divisor != 0) {
    fail_check(op, text("a positive divisor of ", value), name, std::to_string(divisor));
  }
}

inline void check_norm(const char* op, const Tensor& x, const Tensor& weight, int64_t width, float eps, DType other) {
  check_matrix(op, "x", x, other);
  check_multiple(op, "width", x.cols, width);
  check_vector(op, "weight", weight, width);
  if (!(eps >= 0)) fail_check(op, "a number >= 0", "eps", std::to_string(eps));
}

inline void check_attention_shape(const char* op, const AttentionShape& shape) {
  if (shape.heads <= 0 || shape.head_dim <= 0) {
    fail_check(op, "positive heads and head_dim", "shape", shape_text(shape.heads, shape.head_dim));
  }
  check_multiple(op, "shape.kv_heads", shape.heads, shape.kv_heads);
}

// The nodes tile the rows [0, tokens) in order; parents come first; a node starts where its parent ended. One node
// starts where the context ends.
inline void check_tree(const char* op, const TreeLayout& tree, int64_t tokens) {
  int64_t next = 0;
  bool context_ends = tree.nodes.empty() && tree.context_tokens == 0;
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    const TreeNode& node = tree.nodes[i];
    if (node.first_token != next || node.tokens <= 0) {
      fail_check(op, text("contiguous tokens from row ", next), "tree.nodes",
                 text("node ", i, " with rows [", node.first_token, ", +", node.tokens, ")"));
    }
    context_ends = context_ends || node.first_token == tree.context_tokens;
    next += node.tokens;
    if (node.parent < -1 || node.parent >= static_cast<int64_t>(i)) {
      fail_check(op, "a parent before its node", "tree.nodes", text("node ", i, " with parent ", node.parent));
    }
    const int64_t start = node.parent < 0 ? 0 : tree.nodes[node.parent].position + tree.nodes[node.parent].tokens;
    if (node.position != start || node.position + node.tokens > tree.max_position) {
      fail_check(op, text("position ", start, " and an end within max_position"), "tree.nodes",
                 text("node ", i, " at position ", node.position));
    }
  }
  if (next != tokens) fail_check(op, text(tokens, " tokens"), "tree.nodes", std::to_string(next));
  check_size(op, "tree.positions", tree.positions, tokens);
  if (!context_ends) {
    fail_check(op, "a node that starts behind the context", "tree.context_tokens", std::to_string(tree.context_tokens));
  }
}

inline void check_cache(const char* op, const KvCache& cache, int64_t layer, int64_t kv_heads, int64_t head_dim,
                        DType dtype) {
  if (cache.data == nullptr) fail_check(op, "memory", "cache", "null");
  if (cache.dtype != dtype) fail_check(op, dtype_text(dtype), "cache", dtype_text(cache.dtype));
  if (cache.kv_heads != kv_heads || cache.head_dim != head_dim) {
    fail_check(op, "kv_heads, head_dim of " + shape_text(kv_heads, head_dim), "cache",
               shape_text(cache.kv_heads, cache.head_dim));
  }
  if (layer < 0 || layer >= cache.layers) {
    fail_check(op, text("a layer in [0, ", cache.layers, ")"), "layer", std::to_string(layer));
  }
}

// Offsets ascend from 0 and end at `end`.
inline void check_offsets(const char* op, const char* name, std::span<const int32_t> offsets, int64_t count,
                          int64_t end) {
  check_size(op, name, offsets, count + 1);
  for (int64_t i = 0; i < count; ++i) {
    if (offsets[i + 1] < offsets[i]) fail_check(op, "ascending offsets", name, std::to_string(offsets[i + 1]));
  }
  if (offsets[0] != 0 || offsets[count] != end) {
    fail_check(op, text("offsets from 0 to ", end), name, text(offsets[0], " to ", offsets[count]));
  }
}

inline void check_paged(const char* op, const PagedLayout& layout, int64_t rows, int64_t blocks) {
  const int64_t sequences = layout.sequences();
  check_offsets(op, "layout.row_offsets", layout.row_offsets, sequences, rows);
  check_offsets(op, "layout.block_offsets", layout.block_offsets, sequences,
                static_cast<int64_t>(layout.block_table.size()));
  check_size(op, "layout.positions", layout.positions, rows);
  check_ids(op, "layout.block_table", layout.block_table, blocks);
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t start = layout.start_positions[s];
    const int64_t end = start + layout.row_offsets[s + 1] - layout.row_offsets[s];
    const int64_t covered = kv_block_tokens * (layout.block_offsets[s + 1] - layout.block_offsets[s]);
    if (start < 0 || end > covered) {
      fail_check(op, text("blocks for ", end, " positions of sequence ", s), "layout.block_table",
                 std::to_string(covered));
    }
  }
}

inline void check_entries(const char* op, const Tensor& logits, std::span<const float> inverse_temperature,
                          std::span<const float> lse, std::span<const int32_t> row, std::span<const int32_t> token) {
  check_matrix(op, "logits", logits);
  check_size(op, "inverse_temperature", inverse_temperature, logits.rows);
  check_size(op, "lse", lse, logits.rows);
  check_size(op, "token", token, static_cast<int64_t>(row.size()));
  check_ids(op, "row", row, logits.rows);
  check_ids(op, "token", token, logits.cols);
}

}  // namespace ajet::checks
