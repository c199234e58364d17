// How the tokens of one forward pass attend: over a token tree (training), or over paged KV blocks
// (inference). Both are host structures; a backend copies what it needs.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace ajet {

// A run of tokens with one parent. Nodes are stored in depth-first pre-order (parent < own index); their
// tokens are contiguous in that order in the batch.
struct TreeNode {
  int32_t first_token;  // row of the batch
  int32_t tokens;       // > 0
  int32_t parent;       // node index, -1 for a root
  int32_t position;     // absolute position of the first token = depth in the tree
};

// A token attends to itself, to the tokens before it in its node, and to all tokens of its node's ancestors.
//
// The rows [0, context_tokens) are context: an earlier pass computed them, so they have keys and values but no
// queries. Keys and values (and their gradients) have a row for every token; queries, outputs and lse (and their
// gradients) only for the tokens behind the context: token t at row t - context_tokens. The context ends between two
// nodes (one that is part context and part queries is given as two, the second the first one's child), and at least
// one query follows it.
struct TreeLayout {
  std::span<const TreeNode> nodes;
  std::span<const int32_t> positions;  // [tokens], context included
  int64_t max_position = 0;            // largest position + 1
  int64_t context_tokens = 0;
};

// KV of all layers in blocks of `block_tokens` absolute positions (position p lies in the sequence's block
// p / block_tokens). The inside of a block is the backend's own.
constexpr int64_t kv_block_tokens = 16;

struct KvCache {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t blocks = 0;
  int64_t layers = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
};

// The new tokens of several sequences in one forward pass. Sequence s owns the rows
// [row_offsets[s], row_offsets[s+1]), at consecutive positions starting at start_positions[s], and reads
// (and writes) the blocks block_table[block_offsets[s] ...], one for each 16 positions from 0.
struct PagedLayout {
  std::span<const int32_t> row_offsets;      // [sequences + 1]
  std::span<const int32_t> start_positions;  // [sequences]
  std::span<const int32_t> block_offsets;    // [sequences + 1]
  std::span<const int32_t> block_table;      // [block_offsets.back()]
  std::span<const int32_t> positions;        // [rows]
  int64_t sequences() const { return static_cast<int64_t>(start_positions.size()); }
};

struct AttentionShape {
  int64_t heads;
  int64_t kv_heads;  // divides heads
  int64_t head_dim;
  float scale;  // 1 / sqrt(head_dim)
};

}  // namespace ajet
