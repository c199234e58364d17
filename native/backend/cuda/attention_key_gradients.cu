// dk and dv: 64 keys a block, 16 a warp (fp32: 32), over the queries of the subtree below them in ascending order. Its
// rows lie one behind another and see all keys above their own, so that no path is needed. Everything is transposed,
// keys as the rows: p and ds come out as the left operands that the sums want, and never leave the registers.
//
// Keys that very many queries see are cut by queries (TreePlan), the parts' sums added in their order.
//
// head_dim 128, bf16: 97 KiB of shared memory (keys and values 32, two stages of q and dout 64), two blocks on an SM of
// an H100; a lane holds 128 accumulators and 32 scores and their gradients, 251 registers, none spilled. Bound on an
// H100: ldmatrix, 80 KiB per warp and tile of queries, 2,560 cycles of the shared memory's port for 4.2 MFLOP of a
// block, so about 365 TFLOP/s.
#include "backend/cuda/attention_backward.cuh"

namespace ajet::cuda {
namespace {

template <typename T, int width>
struct Shape {
  static constexpr int keys = static_cast<int>(backward_tile_keys<T>), warps = keys / 16, threads = warps * warp_lanes;
  static constexpr int rows = backward_stream_rows<T>, step = backward_step_tiles<T>;
  static constexpr int staging = sizeof(T) == 2 ? 0 : 16 * 8 * step;  // floats of a warp
  static constexpr int64_t shared_bytes = (2 * keys + 4 * rows) * width * static_cast<int64_t>(sizeof(T)) +
                                          2 * rows * static_cast<int64_t>(sizeof(RowStatistics)) +
                                          warps * staging * int64_t{sizeof(float)};
  static_assert(shared_bytes <= least_shared_bytes);
};

// s becomes p and dp becomes ds, keys as rows and queries as columns; `rows` are the columns' statistics. The lane's
// keys are seen by the columns that are not before `first_seen`.
template <int tiles>
AJET_DEVICE void score_gradients(float (&s)[tiles][4], float (&dp)[tiles][4], const RowStatistics* rows,
                                 const int (&first_seen)[2], float scale_log2) {
#pragma unroll
  for (int n = 0; n < tiles; ++n)
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int col = 8 * n + lane_index() % 4 * 2 + j;
      const RowStatistics row = rows[col];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float& score = s[n][2 * half + j];
        const float p = power_of_two(fmaf(score, scale_log2, -row.lse_log2));
        score = col >= first_seen[half] ? p : 0.0F;
        dp[n][2 * half + j] = score * (dp[n][2 * half + j] - row.delta);
      }
    }
}

template <typename T, int width>
AJET_DEVICE void write_gradients(const KeyGradients& target, const float (&sum)[width / 8][4], float scale,
                                 int first_row, int end, int first_col, int dim, bool accumulate) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = first_row + 8 * half + lane_index() / 4;
    if (row >= end) continue;
    T* out = static_cast<T*>(target.data) + row * target.stride + first_col;
#pragma unroll
    for (int n = 0; n < width / 8; ++n) {
      const int col = 8 * n + lane_index() % 4 * 2;
      float pair[2] = {sum[n][2 * half] * scale, sum[n][2 * half + 1] * scale};
#pragma unroll
      for (int j = 0; j < 2; ++j)
        if (accumulate && col + j < dim) pair[j] += to_float(out[col + j]);
      store_pair(out, col, dim, target.vectorized, pair[0], pair[1]);
    }
  }
}

template <int width>
AJET_DEVICE void write_partial(float* rows, const float (&sum)[width / 8][4], float scale) {
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int n = 0; n < width / 8; ++n)
      store_pair(rows + (warp_index() * 16 + 8 * half + lane_index() / 4) * width, 8 * n + lane_index() % 4 * 2, width,
                 true, sum[n][2 * half] * scale, sum[n][2 * half + 1] * scale);
}

template <typename T, int width>
AJET_DEVICE void write_sum(const KeyGradientTargets& targets, bool values, const KeyTile& tile, int kv_head, int dim,
                           const float (&sum)[width / 8][4], float scale) {
  if (tile.slot >= 0) {
    const int64_t part = (kv_head * targets.slots + tile.slot) * 2 + (values ? 1 : 0);
    return write_partial<width>(targets.partial + part * Shape<T, width>::keys * width, sum, scale);
  }
  const KeyGradients& target = values ? targets.dv : targets.dk;
  const int first = tile.first + warp_index() * 16, end = tile.first + tile.count;
  if (target.is_f32) {
    write_gradients<float, width>(target, sum, scale, first, end, kv_head * dim, dim, targets.accumulate);
  } else {
    write_gradients<T, width>(target, sum, scale, first, end, kv_head * dim, dim, targets.accumulate);
  }
}

template <typename T, int width>
__global__ void __launch_bounds__(Shape<T, width>::threads)
    attention_key_gradients_kernel(BackwardTensors<T> a, KeyGradientTargets targets, const KeyTile* key_tiles) {
  using S = Shape<T, width>;
  constexpr int query_tile = S::rows * width;
  T* k_tile = reinterpret_cast<T*>(dynamic_shared());
  T* v_tile = k_tile + S::keys * width;
  T* stages = v_tile + S::keys * width;  // q, dout, q, dout
  auto* statistics = reinterpret_cast<RowStatistics*>(stages + 4 * query_tile);
  float* staging = reinterpret_cast<float*>(statistics + 2 * S::rows) + warp_index() * S::staging;
  const KeyTile tile = key_tiles[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y);
  const float scale_log2 = a.scale * log2_e;
  const auto load_rows = [&](T* to, const KeyRows<T>& from) {
    load_tile<T, width, S::keys, S::threads>(to, from.rows.data, a.q.dim, from.rows.vectorized, [&](int row) {
      return row < tile.count ? from.rows.row(tile.first + row) + kv_head * from.head_step : nullptr;
    });
  };
  const auto load = [&](int start) {
    if (start < tile.end_query) {
      const int stage = (start - tile.first_query) / S::rows % 2;
      T* q_tile = stages + stage * 2 * query_tile;
      load_queries<width, S::rows, S::threads>(q_tile, a.q, kv_head, start, tile.end_query);
      load_queries<width, S::rows, S::threads>(q_tile + query_tile, a.dout, kv_head, start, tile.end_query);
      // Zeros for what is no row: with q and dout of zeros it adds nothing.
      if (const int row = static_cast<int>(threadIdx.x); row < S::rows) {
        const bool inside = start + row < tile.end_query;
        async_copy<8>(&statistics[stage * S::rows + row],
                      a.statistics + kv_head * a.query_rows + (inside ? start + row : 0), inside ? 8 : 0);
      }
    }
    async_commit();
  };

  load_rows(k_tile, a.k);
  load_rows(v_tile, a.v);
  load(tile.first_query);
  // A key is seen by its own token's rows and those behind.
  const int group = static_cast<int>(a.q.group.divisor);
  const int warp_key = tile.first + warp_index() * 16 - targets.context_tokens;
  float dk[1][width / 8][4] = {}, dv[1][width / 8][4] = {};
  auto left = left_operand<T, 1, S::step>(staging);
  for (int start = tile.first_query; start < tile.end_query; start += S::rows) {
    async_wait<0>();
    __syncthreads();  // this stage is here, and the other was used
    load(start + S::rows);
    const int stage = (start - tile.first_query) / S::rows % 2;
    const T *q_tile = stages + stage * 2 * query_tile, *dout_tile = q_tile + query_tile;
#pragma unroll
    for (int first = 0; first < S::rows; first += 8 * S::step) {
      if (start + first + 8 * S::step <= warp_key * group) continue;  // behind none of this warp's keys
      const int lane_key = (warp_key + lane_index() / 4) * group - start - first;
      float s[1][S::step][4] = {}, dp[1][S::step][4] = {};
      multiply_rows<width>(s, k_tile, warp_index() * 16, q_tile, first);
      multiply_rows<width>(dp, v_tile, warp_index() * 16, dout_tile, first);
      score_gradients(s[0], dp[0], &statistics[stage * S::rows + first], {lane_key, lane_key + 8 * group}, scale_log2);
      left.set(s);
      multiply_left<width>(dv, left, dout_tile, first);
      left.set(dp);
      multiply_left<width>(dk, left, q_tile, first);
    }
  }
  async_wait<0>();
  write_sum<T, width>(targets, false, tile, kv_head, a.q.dim, dk[0], a.scale);
  write_sum<T, width>(targets, true, tile, kv_head, a.q.dim, dv[0], 1.0F);
}

template <typename T>
AJET_DEVICE void put(const KeyGradients& target, int64_t at, float value, bool accumulate) {
  T* out = static_cast<T*>(target.data) + at;
  *out = from_float<T>(accumulate ? value + to_float(*out) : value);
}

// Adds up the parts of a tile: blockIdx.y is key head * 2 + (0: dk, 1: dv).
template <typename T>
__global__ void __launch_bounds__(256)
    sum_parts_kernel(KeyGradientTargets targets, const KeyTileParts* all_parts, int keys, int width, int dim) {
  const KeyTileParts parts = all_parts[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y / 2), which = static_cast<int>(blockIdx.y % 2);
  const KeyGradients target = which == 0 ? targets.dk : targets.dv;
  const int64_t size = int64_t{keys} * width;
  const float* first = targets.partial + ((kv_head * targets.slots + parts.first_slot) * 2 + which) * size;
  for (int i = static_cast<int>(threadIdx.x); i < parts.count * dim; i += 256) {
    const int row = i / dim, col = i - row * dim;
    float sum = 0;
    for (int part = 0; part < parts.slots; ++part) sum += first[part * 2 * size + row * width + col];
    const int64_t at = (parts.first + row) * target.stride + kv_head * dim + col;
    if (target.is_f32) {
      put<float>(target, at, sum, targets.accumulate);
    } else {
      put<T>(target, at, sum, targets.accumulate);
    }
  }
}

}  // namespace

template <typename T>
void attend_key_gradients(Stream& stream, const BackwardTensors<T>& tensors, const KeyGradientTargets& targets,
                          const KeyTile* tiles, int64_t count, const KeyTileParts* parts, int64_t part_count,
                          int64_t kv_heads) {
  with_head_width<T>("attention_tree_backward", tensors.q.dim, [&](auto width) {
    using S = Shape<T, width()>;
    launch(stream, {count, S::threads, S::shared_bytes, kv_heads}, attention_key_gradients_kernel<T, width()>, tensors,
           targets, tiles);
    if (part_count > 0)
      launch(stream, {.blocks = part_count, .threads = 256, .blocks_y = 2 * kv_heads}, sum_parts_kernel<T>, targets,
             parts, S::keys, width(), tensors.q.dim);
  });
}

template void attend_key_gradients(Stream&, const BackwardTensors<bf16>&, const KeyGradientTargets&, const KeyTile*,
                                   int64_t, const KeyTileParts*, int64_t, int64_t);
template void attend_key_gradients(Stream&, const BackwardTensors<float>&, const KeyGradientTargets&, const KeyTile*,
                                   int64_t, const KeyTileParts*, int64_t, int64_t);

}  // namespace ajet::cuda
