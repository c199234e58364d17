// Attention of one key/value head: what the callers (tree, paged blocks) hand to the inner kernels.
// Included by files compiled with AVX flags: plain structs and constants, functions static (an AVX copy of an inline
// one could be linked anywhere).
//
// The arithmetic for one query at position P is fixed, whatever else is in the tile:
//   score_j = scale * (one fma chain over d of q[d] * k_j[d])          j = 0 .. P
//   p_j     = exp(score_j - max), summed in 16 lanes by j mod 16, then the tree of sum()
//   o[d]    = (one fma chain over j of p_j * v_j[d]) / Σ p
// Scores are vectors over 16 keys, outputs are vectors over d.
#pragma once

#include <cstdint>

namespace ajet::cpu {

constexpr int64_t attention_block_keys = 16;   // kv_block_tokens: a block holds positions 16b .. 16b + 15
constexpr int64_t attention_tile_queries = 6;  // queries in the registers at once
// Backward: queries of one call, and keys between two passes over them.
constexpr int64_t backward_tile_queries = 48;
constexpr int64_t backward_tile_keys = 64;

static constexpr int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }
// Rows of values are padded with zeros to whole vectors.
static constexpr int64_t padded_dim(int64_t head_dim) { return round_up(head_dim, 16); }

// A block: keys transposed [head_dim][16], then values [16][padded_dim].
static constexpr int64_t block_values_offset(int64_t head_dim) { return head_dim * attention_block_keys; }
static constexpr int64_t block_floats(int64_t head_dim) {
  return block_values_offset(head_dim) + padded_dim(head_dim) * attention_block_keys;
}

struct AttentionTile {
  int64_t count;  // queries, any number
  int64_t head_dim;
  float scale;
  const float* const* q;     // [count] -> [head_dim]
  const int32_t* positions;  // [count]
  float* const* o;           // [count] -> [head_dim]
  float* const* lse;         // [count] -> one float, or null
  const float* const* blocks;
};

// Floats of scratch for queries up to position max_position - 1.
static constexpr int64_t attention_scratch_floats(int64_t head_dim, int64_t max_position) {
  return attention_tile_queries * (2 * padded_dim(head_dim) + round_up(max_position, attention_block_keys));
}

// Keys and values of a path as the backward reads them: transposed in blocks of 16 positions for dot products, and as
// padded rows for sums over keys. What lies behind the last query's position may be anything.
struct AttentionBackwardTile {
  int64_t count;  // at most backward_tile_queries
  int64_t head_dim;
  float scale;
  const int32_t* positions;  // [count], ascending
  const float* const* q;     // [count] -> [head_dim], as are dout, o and dq
  const float* const* dout;
  const float* const* o;
  float* const* dq;
  const float* const* lse;         // [count] -> one float
  const float* keys_transposed;    // [blocks][head_dim][16]
  const float* values_transposed;  // [blocks][head_dim][16]
  const float* keys;               // [positions][padded_dim]
  float* dkeys;                    // [positions][padded_dim], accumulated
  float* dvalues;                  // [positions][padded_dim], accumulated
};

static constexpr int64_t attention_backward_scratch_floats(int64_t head_dim) {
  return backward_tile_queries * (3 * padded_dim(head_dim) + 2 * backward_tile_keys + 1);
}

}  // namespace ajet::cpu
