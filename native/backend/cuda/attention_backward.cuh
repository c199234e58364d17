// What the backward kernels of attention share. With p = exp(scale q·k - lse), dp = dout·v, delta = dout·o:
//   ds = p (dp - delta),  dq = scale Σ_keys ds k,  dk = scale Σ_queries ds q,  dv = Σ_queries p dout
// One kernel sums over keys and one over queries, each in its own fixed order, so that nothing is added by atomics; the
// price is that p and dp are computed in both: seven products where one pass would need five. By the bounds that the
// two files give, no more than 255 TFLOP/s of those five on an H100 (by count of bytes; not measured).
#pragma once

#include "backend/cuda/attention_forward.cuh"

namespace ajet::cuda {

// Of a query row: one 8-byte copy.
struct alignas(8) RowStatistics {
  float lse_log2;  // lse * log2(e)
  float delta;
};

// Gradients of keys or values: f32, or the compute type.
struct KeyGradients {
  void* data;
  int64_t stride;
  bool is_f32, vectorized;
  friend bool operator==(const KeyGradients&, const KeyGradients&) = default;
};

template <typename T>
struct BackwardTensors {
  QueryRows<const T> q, dout;
  KeyRows<T> k, v;
  const RowStatistics* statistics;  // [kv_heads, query_rows]
  int64_t query_rows;
  float scale;
  friend bool operator==(const BackwardTensors&, const BackwardTensors&) = default;
};

// Of a tree's layout, where keys are reached by their rows.
struct KeyGradientTargets {
  KeyGradients dk, dv;
  float* partial;  // [kv_heads, slots, 2, backward_tile_keys, width]
  int64_t slots;
  int context_tokens;
  bool accumulate;
  friend bool operator==(const KeyGradientTargets&, const KeyGradientTargets&) = default;
};

// One step of the inner loops: so many mma tiles of keys (or queries).
template <typename T>
constexpr int backward_step_tiles = sizeof(T) == 2 ? 4 : 2;
// Rows of the tiles that the inner loops stream through.
template <typename T>
constexpr int backward_stream_rows = sizeof(T) == 2 ? 64 : 16;

// attention_query_gradients.cu, attention_key_gradients.cu
template <typename T>
void attend_query_gradients(Stream& stream, const BackwardTensors<T>& tensors, const QueryRows<T>& dq,
                            const QueryTile* tiles, int64_t count, int64_t kv_heads);
template <typename T>
void attend_key_gradients(Stream& stream, const BackwardTensors<T>& tensors, const KeyGradientTargets& targets,
                          const KeyTile* tiles, int64_t count, const KeyTileParts* parts, int64_t part_count,
                          int64_t kv_heads);

}  // namespace ajet::cuda
