// Compiled once per instruction set: forward and backward of a tile of queries against the keys of one head.
#include "backend/cpu/attention_kernels.h"

#include "backend/cpu/attention_tiles.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

namespace ajet::cpu::AJET_ISA {
namespace {

// p[0 .. n) holds scores: replaced by exp(score - max), zeros up to the end of the block. Returns Σ p.
float exponentiate(float* p, int64_t n, float& max_score) {
  const int64_t whole = n / 16 * 16;
  const int rest = static_cast<int>(n - whole);
  F32x16 highest = broadcast(-__builtin_inff());
  for (int64_t j = 0; j < whole; j += 16) highest = max(highest, load(p + j));
  if (rest > 0) highest = max(highest, load_partial(p + whole, rest, -__builtin_inff()));
  max_score = max_lane(highest);
  const F32x16 shift = broadcast(max_score);
  F32x16 total = zero();
  for (int64_t j = 0; j < whole; j += 16) {
    const F32x16 e = exp(sub(load(p + j), shift));
    store(p + j, e);
    total = add(total, e);
  }
  if (rest > 0) {
    // exp(-inf) is 0: lanes behind n add nothing.
    const F32x16 e = exp(sub(load_partial(p + whole, rest, -__builtin_inff()), shift));
    store(p + whole, e);
    total = add(total, e);
  }
  return sum(total);
}

template <int R>
void attend(const AttentionTile& tile, int64_t first, float* scratch) {
  const int64_t dim = tile.head_dim, padded = padded_dim(dim);
  const int32_t* positions = tile.positions + first;
  int64_t last_key = positions[0], common_keys = positions[0] + 1;
  for (int r = 1; r < R; ++r) {
    if (positions[r] > last_key) last_key = positions[r];
    if (positions[r] < common_keys - 1) common_keys = positions[r] + 1;
  }
  const int64_t blocks = last_key / attention_block_keys + 1, stride = blocks * attention_block_keys;
  float* q = scratch;
  float* o = q + R * padded;
  float* p = o + R * padded;
  for (int r = 0; r < R; ++r) copy_padded(q + r * padded, tile.q[first + r], dim);
  dot_rows<R>(p, stride, q, padded, tile.blocks, blocks, dim, tile.scale);

  float total[R];
  for (int r = 0; r < R; ++r) {
    float max_score;
    total[r] = exponentiate(p + r * stride, positions[r] + 1, max_score);
    // The logarithm is scalar: libm's is the same for every instruction set.
    if (tile.lse != nullptr)
      *tile.lse[first + r] = static_cast<float>(static_cast<double>(max_score) + __builtin_log(total[r]));
  }

  for (int64_t d = 0; d < R * padded; d += 16) store(o + d, zero());
  const SegmentedRows values{tile.blocks, block_values_offset(dim), padded};
  mix_rows<R>(o, padded, p, stride, 1, values, padded, 0, common_keys);
  for (int r = 0; r < R; ++r) {
    // Keys behind a query's position may hold anything, so they are left out rather than weighted by 0.
    mix_rows<1>(o + r * padded, padded, p + r * stride, stride, 1, values, padded, common_keys, positions[r] + 1);
    const F32x16 divisor = broadcast(total[r]);
    for (int64_t d = 0; d < dim; d += 16) {
      const int lanes = static_cast<int>(dim - d < 16 ? dim - d : 16);
      store_partial(tile.o[first + r] + d, div(load(o + r * padded + d), divisor), lanes);
    }
  }
}

void attention(const AttentionTile& tile, float* scratch) {
  for_row_tiles(tile.count, [&]<int R>(int64_t first) { attend<R>(tile, first, scratch); });
}

// Scratch of the backward: [count][padded] copies of q and dout, dq sums, then p and ds [count][backward_tile_keys].
struct BackwardScratch {
  float *q, *dout, *dq, *p, *ds, *delta;
};

BackwardScratch carve(float* scratch, int64_t padded) {
  const int64_t rows = backward_tile_queries * padded, weights = backward_tile_queries * backward_tile_keys;
  return {scratch,
          scratch + rows,
          scratch + 2 * rows,
          scratch + 3 * rows,
          scratch + 3 * rows + weights,
          scratch + 3 * rows + 2 * weights};
}

// p = exp(score - lse) and ds = p * (dp - delta) * scale for the keys [first_key, first_key + backward_tile_keys) of
// queries [begin, count); 0 behind a query's position.
void score_gradients(const AttentionBackwardTile& tile, const BackwardScratch& s, int64_t begin, int64_t first_key,
                     int64_t blocks) {
  const int64_t dim = tile.head_dim, padded = padded_dim(dim);
  const float *keys[4], *values[4];
  for (int64_t b = 0; b < blocks; ++b) {
    keys[b] = tile.keys_transposed + (first_key + 16 * b) * dim;
    values[b] = tile.values_transposed + (first_key + 16 * b) * dim;
  }
  for_row_tiles(tile.count - begin, [&]<int R>(int64_t first) {
    const int64_t i = begin + first;
    dot_rows<R>(s.p + i * backward_tile_keys, backward_tile_keys, s.q + i * padded, padded, keys, blocks, dim,
                tile.scale);
    dot_rows<R>(s.ds + i * backward_tile_keys, backward_tile_keys, s.dout + i * padded, padded, values, blocks, dim,
                1.0F);
  });
  const F32x16 scale = broadcast(tile.scale);
  for (int64_t i = begin; i < tile.count; ++i) {
    float* p = s.p + i * backward_tile_keys;
    float* ds = s.ds + i * backward_tile_keys;
    const F32x16 lse = broadcast(*tile.lse[i]), delta = broadcast(s.delta[i]);
    const int64_t visible = tile.positions[i] + 1 - first_key;
    for (int64_t j = 0; j < 16 * blocks; j += 16) {
      const int lanes = static_cast<int>(visible <= j ? 0 : visible - j < 16 ? visible - j : 16);
      const F32x16 weight = exp(sub(load_partial(p + j, lanes, -__builtin_inff()), lse));
      store(p + j, weight);
      store(ds + j, mul(mul(weight, sub(load_partial(ds + j, lanes), delta)), scale));
    }
  }
}

void attention_backward(const AttentionBackwardTile& tile, float* scratch) {
  const int64_t dim = tile.head_dim, padded = padded_dim(dim);
  const BackwardScratch s = carve(scratch, padded);
  for (int64_t i = 0; i < tile.count; ++i) {
    copy_padded(s.q + i * padded, tile.q[i], dim);
    copy_padded(s.dout + i * padded, tile.dout[i], dim);
    F32x16 total = zero();
    for (int64_t d = 0; d < dim; d += 16) {
      const int lanes = static_cast<int>(dim - d < 16 ? dim - d : 16);
      total = fma(load(s.dout + i * padded + d), load_partial(tile.o[i] + d, lanes), total);
      store(s.dq + i * padded + d, zero());
    }
    s.delta[i] = sum(total);
  }
  const float *q_segments[backward_tile_queries / 16], *dout_segments[backward_tile_queries / 16];
  for (int64_t i = 0; i < backward_tile_queries / 16; ++i) {
    q_segments[i] = s.q + 16 * i * padded;
    dout_segments[i] = s.dout + 16 * i * padded;
  }
  const SegmentedRows q{q_segments, 0, padded}, dout{dout_segments, 0, padded};

  const int64_t keys = tile.positions[tile.count - 1] + 1;
  int64_t begin = 0;  // queries before it see no key of the tile
  for (int64_t first_key = 0; first_key < keys; first_key += backward_tile_keys) {
    while (tile.positions[begin] < first_key) ++begin;
    const int64_t left = keys - first_key;
    const int64_t tile_keys = left < backward_tile_keys ? left : backward_tile_keys;
    score_gradients(tile, s, begin, first_key, round_up(tile_keys, attention_block_keys) / attention_block_keys);

    const float* key_segments[4];
    for (int64_t b = 0; b < 4; ++b) key_segments[b] = tile.keys + (first_key + 16 * b) * padded;
    for_row_tiles(tile.count - begin, [&]<int R>(int64_t first) {
      const int64_t i = begin + first;
      mix_rows<R>(s.dq + i * padded, padded, s.ds + i * backward_tile_keys, backward_tile_keys, 1,
                  {key_segments, 0, padded}, padded, 0, tile_keys);
    });
    for_row_tiles(tile_keys, [&]<int R>(int64_t j) {
      mix_rows<R>(tile.dkeys + (first_key + j) * padded, padded, s.ds + j, 1, backward_tile_keys, q, padded, begin,
                  tile.count);
      mix_rows<R>(tile.dvalues + (first_key + j) * padded, padded, s.p + j, 1, backward_tile_keys, dout, padded, begin,
                  tile.count);
    });
  }
  for (int64_t i = 0; i < tile.count; ++i) {
    for (int64_t d = 0; d < dim; d += 16)
      store_partial(tile.dq[i] + d, load(s.dq + i * padded + d), static_cast<int>(dim - d < 16 ? dim - d : 16));
  }
}

}  // namespace

void fill_attention(Kernels& table) {
  table.attention = attention;
  table.attention_backward = attention_backward;
}

}  // namespace ajet::cpu::AJET_ISA
