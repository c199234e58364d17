// Attention of many queries that share a path: 128 query rows a block, 32 a warp (fp32: 64 and 16), online softmax
// (Milakov and Gimelshein 2018; Dao 2023) over tiles of 64 keys at fixed absolute positions (fp32: 32).
//
// head_dim 128, bf16: 64 KiB of shared memory (queries 32, keys 16, values 16), so that two blocks run on an SM and one
// computes while the other waits; keys travel during P·V, values during Q·Kᵀ. A lane holds 128 accumulators of o and 64
// scores: 255 registers, none spilled (a few on sm_80). Expected bound on an H100: mma.sync, about 0.62 of the rate of
// wgmma; ldmatrix needs 40 KiB per warp and tile of keys, 1,280 cycles of the shared memory's port for 4.2 MFLOP of a
// block, so that it would allow 735 TFLOP/s.
#include "backend/cuda/attention_forward.cuh"

namespace ajet::cuda {
namespace {

constexpr int warps = 4, threads = warps * warp_lanes;

template <typename T, int width>
struct Shape {
  static constexpr int blocks = static_cast<int>(large_tile_rows<T>) / (16 * warps);  // of 16 rows, a warp
  static constexpr int rows = static_cast<int>(large_tile_rows<T>), keys = forward_keys<T>;
  static constexpr int staging = sizeof(T) == 2 ? 0 : 16 * keys;  // floats of a warp
  static constexpr int64_t shared_bytes =
      (rows + 2 * keys) * width * static_cast<int64_t>(sizeof(T)) + warps * staging * int64_t{sizeof(float)};
  static_assert(shared_bytes <= least_shared_bytes);
};

// The running softmax of a warp's rows, this lane's part of it.
template <int blocks, int width>
struct Running {
  float maximum[blocks][2], sum[blocks][2];
  float o[blocks][width / 8][4];

  AJET_DEVICE void clear() {
#pragma unroll
    for (int m = 0; m < blocks; ++m) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        maximum[m][half] = masked_score();
        sum[m][half] = 0;
      }
#pragma unroll
      for (int n = 0; n < width / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) o[m][n][i] = 0;
    }
  }

  // Scores of a tile of keys become probabilities under the new maximum, and what was summed is rescaled to it.
  template <typename T, int tiles>
  AJET_DEVICE void step(float (&s)[blocks][tiles][4], float scale_log2) {
    constexpr int quarter = tiles / 4;
#pragma unroll
    for (int m = 0; m < blocks; ++m) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float above = max_of(maximum[m][half], row_maximum(s[m], half));
        const float rescale = rescaling(maximum[m][half], above, scale_log2);
        maximum[m][half] = above;
        float part[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) part[i] = exponentiate<T, quarter>(s[m], i * quarter, half, above, scale_log2);
        sum[m][half] = add_quarters(sum[m][half], rescale, part[0], part[1], part[2], part[3]);
        if (ballot(rescale != 1.0F) == 0) continue;  // the rule, after some tiles
#pragma unroll
        for (int n = 0; n < width / 8; ++n) {
          o[m][n][2 * half] *= rescale;
          o[m][n][2 * half + 1] *= rescale;
        }
      }
    }
  }
};

template <typename T, int width, int blocks>
AJET_DEVICE void write_rows(const AttentionTensors<T>& a, const Running<blocks, width>& running, int kv_head,
                            int first_row, int end) {
#pragma unroll
  for (int m = 0; m < blocks; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float sum = warp_sum<4>(running.sum[m][half]);
      const int row = first_row + 16 * m + 8 * half + lane_index() / 4;
      if (row >= end) continue;
      const float inverse = 1.0F / sum;
      T* out = a.o.at(kv_head, row);
#pragma unroll
      for (int n = 0; n < width / 8; ++n) {
        store_pair(out, 8 * n + lane_index() % 4 * 2, a.o.dim, a.o.rows.vectorized, running.o[m][n][2 * half] * inverse,
                   running.o[m][n][2 * half + 1] * inverse);
      }
      if (a.lse != nullptr && lane_index() % 4 == 0)
        a.lse[a.o.token(row) * a.lse_stride + a.o.head(kv_head, row)] =
            fmaf(running.maximum[m][half], a.scale, logf(sum));
    }
  }
}

template <typename T, int width>
__global__ void __launch_bounds__(threads) attention_large_kernel(AttentionTensors<T> a, const QueryTile* query_tiles) {
  using S = Shape<T, width>;
  T* q_tile = reinterpret_cast<T*>(dynamic_shared());
  T* k_tile = q_tile + S::rows * width;
  T* v_tile = k_tile + S::keys * width;
  float* staging = reinterpret_cast<float*>(v_tile + S::keys * width) + warp_index() * S::staging;
  const QueryTile tile = query_tiles[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y);
  const auto position = [&](int row) { return tile.shift + a.q.token(min_of(row, tile.end - 1)); };
  const int limit = position(tile.end - 1) + 1;  // of the keys that any row sees
  const int warp_first = tile.first + warp_index() * 16 * S::blocks;
  const int seen_by_all = position(warp_first);
  const int seen_by_any = warp_first < tile.end ? position(warp_first + 16 * S::blocks - 1) : -1;
  const int32_t* path = a.k.table + tile.table;
  const float scale_log2 = a.scale * log2_e;

  load_queries<width, S::rows, threads>(q_tile, a.q, kv_head, tile.first, tile.end);
  load_keys<width, S::keys, threads>(k_tile, a.k, path, kv_head, a.q.dim, 0, limit);
  async_commit();
  Running<S::blocks, width> running;
  running.clear();
  for (int start = 0; start < limit; start += S::keys) {
    async_wait<0>();
    __syncthreads();  // keys are here, and the last values were used
    load_keys<width, S::keys, threads>(v_tile, a.v, path, kv_head, a.q.dim, start, limit);
    async_commit();
    auto p = left_operand<T, S::blocks, S::keys / 8>(staging);
    const bool visible = start <= seen_by_any;  // the whole warp's
    if (visible) {
      float s[S::blocks][S::keys / 8][4] = {};
      multiply_rows<width>(s, q_tile, warp_index() * 16 * S::blocks, k_tile, 0);
      if (start + S::keys - 1 > seen_by_all) {
#pragma unroll
        for (int m = 0; m < S::blocks; ++m)
#pragma unroll
          for (int half = 0; half < 2; ++half)
            mask_keys(s[m], half, start, position(warp_first + 16 * m + 8 * half + lane_index() / 4));
      }
      running.template step<T>(s, scale_log2);
      p.set(s);
    }
    async_wait<0>();
    __syncthreads();  // values are here, and the keys were used
    if (start + S::keys < limit)
      load_keys<width, S::keys, threads>(k_tile, a.k, path, kv_head, a.q.dim, start + S::keys, limit);
    async_commit();
    if (visible) multiply_left<width>(running.o, p, v_tile, 0);
  }
  async_wait<0>();
  write_rows<T>(a, running, kv_head, warp_first, tile.end);
}

}  // namespace

template <typename T>
void attend_large(Stream& stream, const AttentionTensors<T>& tensors, const QueryTile* tiles, int64_t count,
                  int64_t kv_heads, const char* op) {
  if (count == 0) return;
  with_head_width<T>(op, tensors.q.dim, [&](auto width) {
    launch(stream, {count, threads, Shape<T, width()>::shared_bytes, kv_heads}, attention_large_kernel<T, width()>,
           tensors, tiles);
  });
}

template void attend_large(Stream&, const AttentionTensors<bf16>&, const QueryTile*, int64_t, int64_t, const char*);
template void attend_large(Stream&, const AttentionTensors<float>&, const QueryTile*, int64_t, int64_t, const char*);

}  // namespace ajet::cuda
