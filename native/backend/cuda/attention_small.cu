// Attention of at most 16 query rows that share a path: a decoding sequence's new token with all heads of a group, or a
// branch of few tokens. Four warps share one tile of rows: of each tile of keys (the same as in attention_large.cu)
// warp w scores quarter w, and of the output it sums quarter w of the columns. So every element is the same chain as
// there, and a row has the same bits, in a quarter of the time.
//
// head_dim 128, bf16: 32 KiB of shared memory per stage, 7 KiB besides; two stages where blocks fill the card, four
// where each has an SM of its own and waits for memory alone. Bound on an H100: the bytes of keys and values.
#include "backend/cuda/attention_forward.cuh"

namespace ajet::cuda {
namespace {

constexpr int warps = 4, threads = warps * warp_lanes, rows = static_cast<int>(small_tile_rows);

template <typename T, int width>
struct Shape {
  static constexpr int keys = forward_keys<T>, quarter = keys / 32;  // of a warp, in mma tiles of 8
  static constexpr int columns = width / 32;                         // of a warp, likewise
  static constexpr int64_t stage_bytes = 2 * keys * width * static_cast<int64_t>(sizeof(T));
  static constexpr int64_t fixed_bytes = rows * (width + keys) * static_cast<int64_t>(sizeof(T)) +
                                         warps * (rows + 2 * warp_lanes) * static_cast<int64_t>(sizeof(float));
  static_assert(2 * stage_bytes + fixed_bytes <= least_shared_bytes);
};

// Shared memory: stages of keys and values, queries, probabilities, and what warps tell each other.
template <typename T, int width>
struct Shared {
  using S = Shape<T, width>;
  T *stages, *q, *p;
  float *maxima, *sums;  // [warps][rows], [warps][lanes][2]

  explicit AJET_DEVICE Shared(int stage_count) {
    stages = reinterpret_cast<T*>(dynamic_shared());
    q = stages + stage_count * 2 * S::keys * width;
    p = q + rows * width;
    maxima = reinterpret_cast<float*>(p + rows * S::keys);
    sums = maxima + warps * rows;
  }
  AJET_DEVICE T* keys(int stage) const { return stages + stage * 2 * S::keys * width; }
  AJET_DEVICE T* values(int stage) const { return keys(stage) + S::keys * width; }
};

// The running softmax: of all four warps, but o of this one's columns.
template <typename T, int width>
struct Running {
  using S = Shape<T, width>;
  float maximum[2], sum[2];
  float o[S::columns][4];

  // The same arithmetic as in attention_large.cu; two barriers.
  AJET_DEVICE void step(float (&s)[1][S::quarter][4], const Shared<T, width>& shared, float scale_log2) {
    const int warp = warp_index(), lane = lane_index(), group = lane / 4, pair = lane % 4 * 2;
    float rescale[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float quarter_maximum = row_maximum(s[0], half);
      if (pair == 0) shared.maxima[warp * rows + group + 8 * half] = quarter_maximum;
    }
    __syncthreads();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float above = maximum[half];
#pragma unroll
      for (int w = 0; w < warps; ++w) above = max_of(above, shared.maxima[w * rows + group + 8 * half]);
      rescale[half] = rescaling(maximum[half], above, scale_log2);
      maximum[half] = above;
      shared.sums[(warp * warp_lanes + lane) * 2 + half] =
          exponentiate<T, S::quarter>(s[0], 0, half, above, scale_log2);
#pragma unroll
      for (int n = 0; n < S::quarter; ++n)
        store_neighbours<S::keys>(shared.p, group + 8 * half, 8 * (warp * S::quarter + n) + pair, s[0][n][2 * half],
                                  s[0][n][2 * half + 1]);
    }
    __syncthreads();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float part[4];
#pragma unroll
      for (int w = 0; w < 4; ++w) part[w] = shared.sums[(w * warp_lanes + lane) * 2 + half];
      sum[half] = add_quarters(sum[half], rescale[half], part[0], part[1], part[2], part[3]);
#pragma unroll
      for (int n = 0; n < S::columns; ++n) {
        o[n][2 * half] *= rescale[half];
        o[n][2 * half + 1] *= rescale[half];
      }
    }
  }
};

template <typename T, int width>
AJET_DEVICE void write_rows(const AttentionTensors<T>& a, const Running<T, width>& running, int kv_head,
                            const QueryTile& tile) {
  constexpr int columns = Shape<T, width>::columns;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float sum = warp_sum<4>(running.sum[half]);
    const int row = tile.first + 8 * half + lane_index() / 4;
    if (row >= tile.end) continue;
    const float inverse = 1.0F / sum;
    T* out = a.o.at(kv_head, row);
#pragma unroll
    for (int n = 0; n < columns; ++n) {
      store_pair(out, 8 * (warp_index() * columns + n) + lane_index() % 4 * 2, a.o.dim, a.o.rows.vectorized,
                 running.o[n][2 * half] * inverse, running.o[n][2 * half + 1] * inverse);
    }
    if (a.lse != nullptr && threadIdx.x % 4 == 0 && warp_index() == 0)
      a.lse[a.o.token(row) * a.lse_stride + a.o.head(kv_head, row)] = fmaf(running.maximum[half], a.scale, logf(sum));
  }
}

template <typename T, int width>
__global__ void __launch_bounds__(threads)
    attention_small_kernel(AttentionTensors<T> a, const QueryTile* query_tiles, int stages) {
  using S = Shape<T, width>;
  const Shared<T, width> shared(stages);
  const QueryTile tile = query_tiles[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y);
  const auto position = [&](int row) { return tile.shift + a.q.token(min_of(row, tile.end - 1)); };
  const int limit = position(tile.end - 1) + 1;
  const float scale_log2 = a.scale * log2_e;
  const auto load = [&](int index) {
    if (const int start = index * S::keys; start < limit) {
      load_keys<width, S::keys, threads>(shared.keys(index % stages), a.k, a.k.table + tile.table, kv_head, a.q.dim,
                                         start, limit);
      load_keys<width, S::keys, threads>(shared.values(index % stages), a.v, a.v.table + tile.table, kv_head, a.q.dim,
                                         start, limit);
    }
    async_commit();
  };
  load_queries<width, rows, threads>(shared.q, a.q, kv_head, tile.first, tile.end);
  for (int i = 0; i < stages - 1; ++i) load(i);
  Running<T, width> running{{masked_score(), masked_score()}, {0, 0}, {}};
  for (int i = 0; i * S::keys < limit; ++i) {
    if (stages == 2) {
      async_wait<0>();
    } else {
      async_wait<2>();  // four stages
    }
    __syncthreads();  // tile i is here, and tile i - 1 was used
    load(i + stages - 1);
    const int first_key = i * S::keys + warp_index() * 8 * S::quarter;
    float s[1][S::quarter][4] = {};
    multiply_rows<width>(s, shared.q, 0, shared.keys(i % stages), warp_index() * 8 * S::quarter);
#pragma unroll
    for (int half = 0; half < 2; ++half)
      mask_keys(s[0], half, first_key, position(tile.first + 8 * half + lane_index() / 4));
    running.step(s, shared, scale_log2);
    multiply_columns<width, S::keys>(running.o, shared.p, shared.values(i % stages), 0, warp_index() * S::columns);
  }
  async_wait<0>();
  write_rows<T, width>(a, running, kv_head, tile);
}

// Blocks that are few wait for memory: more of it under way for each.
constexpr int64_t few_blocks = 128;

}  // namespace

template <typename T>
void attend_small(Stream& stream, const AttentionTensors<T>& tensors, const QueryTile* tiles, int64_t count,
                  int64_t kv_heads, int64_t shared_limit, const char* op) {
  if (count == 0) return;
  with_head_width<T>(op, tensors.q.dim, [&](auto width) {
    using S = Shape<T, width()>;
    const bool deep = count * kv_heads <= few_blocks && 4 * S::stage_bytes + S::fixed_bytes <= shared_limit;
    const int stages = deep ? 4 : 2;
    launch(stream, {count, threads, stages * S::stage_bytes + S::fixed_bytes, kv_heads},
           attention_small_kernel<T, width()>, tensors, tiles, stages);
  });
}

template void attend_small(Stream&, const AttentionTensors<bf16>&, const QueryTile*, int64_t, int64_t, int64_t,
                           const char*);
template void attend_small(Stream&, const AttentionTensors<float>&, const QueryTile*, int64_t, int64_t, int64_t,
                           const char*);

}  // namespace ajet::cuda
