// dq: 64 query rows a block, 16 a warp (fp32: 32), over the tiles of keys of their path in ascending order.
//
// head_dim 128, bf16: 96 KiB of shared memory (q and dout 32, two stages of keys and values 64), two blocks on an SM of
// an H100; a lane holds 64 accumulators and 32 scores and their gradients, 209 registers on sm_80, none spilled. Bound
// on an H100: ldmatrix, 64 KiB per warp and tile of keys, 2,048 cycles of the shared memory's port for 3.1 MFLOP of a
// block, so about 345 TFLOP/s.
#include "backend/cuda/attention_backward.cuh"

namespace ajet::cuda {
namespace {

template <typename T, int width>
struct Shape {
  static constexpr int rows = static_cast<int>(backward_tile_rows<T>), warps = rows / 16, threads = warps * warp_lanes;
  static constexpr int keys = backward_stream_rows<T>, step = backward_step_tiles<T>;
  static constexpr int staging = sizeof(T) == 2 ? 0 : 16 * 8 * step;  // floats of a warp
  static constexpr int64_t shared_bytes =
      (2 * rows + 4 * keys) * width * static_cast<int64_t>(sizeof(T)) + warps * staging * int64_t{sizeof(float)};
  static_assert(shared_bytes <= least_shared_bytes);
};

// ds of a step's keys, in place of s; `first_key` is its first position, `position` those of the lane's two rows.
template <int tiles>
AJET_DEVICE void score_gradients(float (&s)[tiles][4], const float (&dp)[tiles][4], const RowStatistics (&rows)[2],
                                 const int (&position)[2], int first_key, float scale_log2) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int seen = position[half] - first_key - lane_index() % 4 * 2;
#pragma unroll
    for (int n = 0; n < tiles; ++n)
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        float& score = s[n][2 * half + j];
        const float p = power_of_two(fmaf(score, scale_log2, -rows[half].lse_log2));
        score = 8 * n + j <= seen ? p * (dp[n][2 * half + j] - rows[half].delta) : 0.0F;
      }
  }
}

template <typename T, int width>
__global__ void __launch_bounds__(Shape<T, width>::threads)
    attention_query_gradients_kernel(BackwardTensors<T> a, QueryRows<T> dq, const QueryTile* query_tiles) {
  using S = Shape<T, width>;
  constexpr int key_tile = S::keys * width;
  T* q_tile = reinterpret_cast<T*>(dynamic_shared());
  T* dout_tile = q_tile + S::rows * width;
  T* stages = dout_tile + S::rows * width;  // keys, values, keys, values
  float* staging = reinterpret_cast<float*>(stages + 4 * key_tile) + warp_index() * S::staging;
  const QueryTile tile = query_tiles[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y);
  const auto position_of = [&](int row) { return tile.shift + a.q.token(min_of(row, tile.end - 1)); };
  const int limit = position_of(tile.end - 1) + 1;
  const int warp_first = tile.first + warp_index() * 16;
  const int seen_by_any = warp_first < tile.end ? position_of(warp_first + 15) : -1;
  const float scale_log2 = a.scale * log2_e;
  const auto load = [&](int start) {
    if (start < limit) {
      T* stage = stages + start / S::keys % 2 * 2 * key_tile;
      load_keys<width, S::keys, S::threads>(stage, a.k, a.k.table + tile.table, kv_head, a.q.dim, start, limit);
      load_keys<width, S::keys, S::threads>(stage + key_tile, a.v, a.v.table + tile.table, kv_head, a.q.dim, start,
                                            limit);
    }
    async_commit();
  };

  load_queries<width, S::rows, S::threads>(q_tile, a.q, kv_head, tile.first, tile.end);
  load_queries<width, S::rows, S::threads>(dout_tile, a.dout, kv_head, tile.first, tile.end);
  load(0);
  RowStatistics rows[2];
  int position[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = min_of(warp_first + 8 * half + lane_index() / 4, tile.end - 1);
    rows[half] = a.statistics[kv_head * a.query_rows + row];
    position[half] = position_of(row);
  }
  float sum[1][width / 8][4] = {};
  auto left = left_operand<T, 1, S::step>(staging);
  for (int start = 0; start < limit; start += S::keys) {
    async_wait<0>();
    __syncthreads();  // this stage is here, and the other was used
    load(start + S::keys);
    const T* k_tile = stages + start / S::keys % 2 * 2 * key_tile;
#pragma unroll
    for (int first = 0; first < S::keys; first += 8 * S::step) {
      if (start + first > seen_by_any) break;
      float s[1][S::step][4] = {}, dp[1][S::step][4] = {};
      multiply_rows<width>(s, q_tile, warp_index() * 16, k_tile, first);
      multiply_rows<width>(dp, dout_tile, warp_index() * 16, k_tile + key_tile, first);
      score_gradients(s[0], dp[0], rows, position, start + first, scale_log2);
      left.set(s);
      multiply_left<width>(sum, left, k_tile, first);
    }
  }
  async_wait<0>();
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = warp_first + 8 * half + lane_index() / 4;
    if (row >= tile.end) continue;
    T* out = dq.at(kv_head, row);
#pragma unroll
    for (int n = 0; n < width / 8; ++n)
      store_pair(out, 8 * n + lane_index() % 4 * 2, dq.dim, dq.rows.vectorized, sum[0][n][2 * half] * a.scale,
                 sum[0][n][2 * half + 1] * a.scale);
  }
}

}  // namespace

template <typename T>
void attend_query_gradients(Stream& stream, const BackwardTensors<T>& tensors, const QueryRows<T>& dq,
                            const QueryTile* tiles, int64_t count, int64_t kv_heads) {
  with_head_width<T>("attention_tree_backward", dq.dim, [&](auto width) {
    using S = Shape<T, width()>;
    launch(stream, {count, S::threads, S::shared_bytes, kv_heads}, attention_query_gradients_kernel<T, width()>,
           tensors, dq, tiles);
  });
}

template void attend_query_gradients(Stream&, const BackwardTensors<bf16>&, const QueryRows<bf16>&, const QueryTile*,
                                     int64_t, int64_t);
template void attend_query_gradients(Stream&, const BackwardTensors<float>&, const QueryRows<float>&, const QueryTile*,
                                     int64_t, int64_t);

}  // namespace ajet::cuda
