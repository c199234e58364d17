// What the attention kernels share: where queries and keys lie, and the arithmetic of softmax. Forward kernels have the
// same bits for a row because each of its elements is the same chain of the same instructions in all of them.
#pragma once

#include <type_traits>

#include "backend/cuda/attention_plan.h"
#include "backend/cuda/device/rows.cuh"
#include "backend/cuda/device/tile_products.cuh"
#include "base/error.h"

namespace ajet::cuda {

constexpr float log2_e = 1.44269504088896340736F;

// n / divisor for n * divisor < 2^32.
struct Divider {
  uint32_t divisor, reciprocal;

  explicit Divider(int64_t value)
      : divisor(static_cast<uint32_t>(value)), reciprocal(static_cast<uint32_t>((uint64_t{1} << 32) / divisor + 1)) {}
  AJET_DEVICE int divide(int n) const {
    const auto product = static_cast<uint64_t>(static_cast<uint32_t>(n)) * reciprocal;
    return divisor == 1 ? n : static_cast<int>(product >> 32);
  }
  friend bool operator==(const Divider&, const Divider&) = default;
};

// Query rows of one key head (attention_plan.h) in a matrix [tokens, heads * dim].
template <typename T>
struct QueryRows {
  Rows<T> rows;
  Divider group;
  int dim;

  AJET_DEVICE int token(int row) const { return group.divide(row); }
  AJET_DEVICE int head(int kv_head, int row) const {
    const int size = static_cast<int>(group.divisor);
    return kv_head * size + row - token(row) * size;
  }
  AJET_DEVICE T* at(int kv_head, int row) const { return rows.row(token(row)) + head(kv_head, row) * dim; }
  friend bool operator==(const QueryRows&, const QueryRows&) = default;
};

template <typename T>
QueryRows<T> query_rows(const Tensor& tensor, const AttentionShape& shape) {
  Rows<T> rows = rows_of<T>(tensor);
  rows.vectorized = rows.vectorized && shape.head_dim * static_cast<int64_t>(sizeof(T)) % 16 == 0;
  return {rows, Divider(shape.heads / shape.kv_heads), static_cast<int>(shape.head_dim)};
}

// Keys or values by absolute position: rows of a matrix of tokens through the path's table, or of KV blocks.
template <typename T>
struct KeyRows {
  Rows<const T> rows;
  int64_t head_step;     // elements from one key head to the next
  const int32_t* table;  // position p: row table[p >> shift] * scale + (p & (2^shift - 1))
  int shift, scale;

  AJET_DEVICE const T* at(const int32_t* path, int kv_head, int position) const {
    const int64_t row = int64_t{path[position >> shift]} * scale + (position & ((1 << shift) - 1));
    return rows.row(row) + kv_head * head_step;
  }
  friend bool operator==(const KeyRows&, const KeyRows&) = default;
};

// Keys of a token tree, by the rows of its paths.
template <typename T>
KeyRows<T> path_keys(const Tensor& tensor, const AttentionShape& shape, const int32_t* path_rows) {
  Rows<const T> rows = rows_of<const T>(tensor);
  rows.vectorized = rows.vectorized && shape.head_dim * static_cast<int64_t>(sizeof(T)) % 16 == 0;
  return {rows, shape.head_dim, path_rows, 0, 1};
}

// Fills a tile with the keys at [start, start + keys), zeros from `limit` on.
template <int width, int keys, int threads, typename T>
AJET_DEVICE void load_keys(T* tile, const KeyRows<T>& source, const int32_t* path, int kv_head, int dim, int start,
                           int limit) {
  load_tile<T, width, keys, threads>(tile, source.rows.data, dim, source.rows.vectorized, [&](int row) {
    return start + row < limit ? source.at(path, kv_head, start + row) : nullptr;
  });
}

// Fills a tile with query rows [first, end), zeros behind.
template <int width, int rows, int threads, typename T>
AJET_DEVICE void load_queries(std::remove_const_t<T>* tile, const QueryRows<T>& source, int kv_head, int first,
                              int end) {
  using Element = std::remove_const_t<T>;
  load_tile<Element, width, rows, threads>(
      tile, source.rows.data, source.dim, source.rows.vectorized,
      [&](int row) -> const Element* { return first + row < end ? source.at(kv_head, first + row) : nullptr; });
}

// Two neighbours of a row of `dim` elements, as far as they lie in it.
template <typename T>
AJET_DEVICE void store_pair(T* row, int col, int dim, bool vectorized, float left, float right) {
  if (vectorized && col < dim) {
    *reinterpret_cast<Pack<T, 2>*>(row + col) = {{from_float<T>(left), from_float<T>(right)}};
  } else {
    if (col < dim) row[col] = from_float<T>(left);
    if (col + 1 < dim) row[col + 1] = from_float<T>(right);
  }
}

AJET_DEVICE float power_of_two(float exponent) {
#if defined(AJET_CUDA_EMULATED)
  return std::exp2(exponent);
#else
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(exponent));
  return power;
#endif
}

// exp(scale (score - maximum)), scale in `scale_log2` = scale * log2(e). One fused operation where the rounding of
// maximum * scale_log2 is no matter.
template <typename T>
AJET_DEVICE float probability(float score, float maximum, float scale_log2) {
  if constexpr (sizeof(T) == 2) return power_of_two(fmaf(score, scale_log2, -(maximum * scale_log2)));
  return power_of_two((score - maximum) * scale_log2);
}

// What a sum under one maximum is multiplied with under the next: exactly 1 where it stayed.
AJET_DEVICE float rescaling(float maximum, float next, float scale_log2) {
  return power_of_two((maximum - next) * scale_log2);
}

AJET_DEVICE float masked_score() { return bits_float(0xFF800000U); }  // minus infinity

// Scores of keys behind a row's own position. s[n] are columns first_key + 8 n + 2 (lane % 4); half 1 is the row eight
// below.
template <int tiles>
AJET_DEVICE void mask_keys(float (&s)[tiles][4], int half, int first_key, int position) {
  const int seen = position - first_key - lane_index() % 4 * 2;  // column 8 n + j where 8 n + j <= seen
#pragma unroll
  for (int n = 0; n < tiles; ++n)
#pragma unroll
    for (int j = 0; j < 2; ++j)
      if (8 * n + j > seen) s[n][2 * half + j] = masked_score();
}

template <int tiles>
AJET_DEVICE float row_maximum(const float (&s)[tiles][4], int half) {
  float maximum = s[0][2 * half];
#pragma unroll
  for (int n = 0; n < tiles; ++n)
#pragma unroll
    for (int j = 0; j < 2; ++j) maximum = max_of(maximum, s[n][2 * half + j]);
  return warp_max<4>(maximum);
}

// Turns the scores s[first, first + count) of a row into probabilities; returns this lane's part of their sum.
template <typename T, int count, int tiles>
AJET_DEVICE float exponentiate(float (&s)[tiles][4], int first, int half, float maximum, float scale_log2) {
  float sum = 0;
#pragma unroll
  for (int n = 0; n < count; ++n) {
    float* pair = &s[first + n][2 * half];
    pair[0] = probability<T>(pair[0], maximum, scale_log2);
    pair[1] = probability<T>(pair[1], maximum, scale_log2);
    sum = n == 0 ? pair[0] + pair[1] : sum + (pair[0] + pair[1]);
  }
  return sum;
}

// A lane's part of a row's sum, over a tile of keys in quarters.
AJET_DEVICE float add_quarters(float sum, float rescale, float first, float second, float third, float fourth) {
  return fmaf(sum, rescale, (first + second) + (third + fourth));
}

constexpr int max_head_dim = 128;

// Calls body(std::integral_constant<int, width>{}) with the width that kernels for T pad heads of this size to.
template <typename T, typename Body>
void with_head_width(const char* op, int64_t dim, const Body& body) {
  if (dim > max_head_dim) {
    fail(ErrorCode::invalid_argument, std::string("[") + op + "] Expected at most " + std::to_string(max_head_dim) +
                                          " for `head_dim` on a CUDA device but received " + std::to_string(dim));
  }
  if constexpr (sizeof(T) == 2) {
    if (dim <= 32) return body(std::integral_constant<int, 32>{});
    if (dim > 64 && dim <= 96) return body(std::integral_constant<int, 96>{});
  }
  if (dim <= 64) return body(std::integral_constant<int, 64>{});
  body(std::integral_constant<int, max_head_dim>{});
}

}  // namespace ajet::cuda
