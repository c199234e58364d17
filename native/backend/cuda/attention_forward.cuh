// The forward kernels of attention, for tree and KV blocks alike.
#pragma once

#include "backend/cuda/attention_rows.cuh"

namespace ajet::cuda {

// What both forward kernels read and write; lse where it is not null.
template <typename T>
struct AttentionTensors {
  QueryRows<const T> q;
  QueryRows<T> o;
  KeyRows<T> k, v;
  float* lse;
  int64_t lse_stride;
  float scale;
  friend bool operator==(const AttentionTensors&, const AttentionTensors&) = default;
};

// Rows of queries per block of the two kernels.
template <typename T>
constexpr int64_t large_tile_rows = sizeof(T) == 2 ? 128 : 64;
constexpr int64_t small_tile_rows = 16;

// Rows of queries and of keys per block of the backward kernels.
template <typename T>
constexpr int64_t backward_tile_rows = sizeof(T) == 2 ? 64 : 32;
template <typename T>
constexpr int64_t backward_tile_keys = sizeof(T) == 2 ? 64 : 32;

// Keys that are merged into a row's running softmax at once: those of [i * n, (i + 1) * n), by absolute position.
template <typename T>
constexpr int forward_keys = sizeof(T) == 2 ? 64 : 32;

// Each `tiles` on the device. attention_large.cu, attention_small.cu
template <typename T>
void attend_large(Stream& stream, const AttentionTensors<T>& tensors, const QueryTile* tiles, int64_t count,
                  int64_t kv_heads, const char* op);
template <typename T>
void attend_small(Stream& stream, const AttentionTensors<T>& tensors, const QueryTile* tiles, int64_t count,
                  int64_t kv_heads, int64_t shared_limit, const char* op);

}  // namespace ajet::cuda
