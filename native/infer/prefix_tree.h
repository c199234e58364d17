// Computed KV by token ids, shared by prompts and turns (RadixAttention: Zheng et al., "SGLang", NeurIPS 2024).
//
// A node is one KV block: the tokens at up to 16 consecutive absolute positions, the first a multiple of 16. Inner
// nodes are full; leaves may hold fewer. No node's tokens are a prefix of a sibling's, and siblings are sorted, so
// one binary search finds the longest common prefix token by token.
//
// The tree keeps one reference to each of its blocks. A sequence that uses a node's block uses those of all its
// ancestors, so a block with no other reference than the tree's ("idle") can be reclaimed, leaves first.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "backend/batch_layout.h"
#include "infer/kv_blocks.h"

namespace ajet {

struct PrefixMatch {
  int32_t tokens = 0;          // 16 * full blocks + partial_tokens
  int32_t partial_block = -1;  // its first partial_tokens positions match
  int32_t partial_tokens = 0;
};

class PrefixTree {
 public:
  explicit PrefixTree(KvBlocks& blocks);

  // The longest known prefix of `tokens`; its full blocks go to `path`, which is cleared first. Retains nothing.
  PrefixMatch match(std::span<const int32_t> tokens, std::vector<int32_t>& path) const;

  // Adds `block`, which holds the KV of `tokens` (1 to 16) after `parent` (a full node's block, or root()). Returns
  // the block that stands for these tokens in the tree: another one where they were known already. A known shorter
  // run is replaced, or grows in place where it is the same block.
  int32_t insert(int32_t parent, std::span<const int32_t> tokens, int32_t block);

  // All references to blocks go through these four, whether the block is in the tree or not.
  int32_t allocate();  // takes the least recently used idle leaf where no block is free; -1 where there is none
  void retain(int32_t block);
  void release(int32_t block);
  int64_t available() const { return blocks_.free() + idle_; }

  void clear();
  int32_t root() const { return static_cast<int32_t>(blocks_.total()); }
  bool contains(int32_t block) const { return node(block).count > 0; }

 private:
  struct Node {
    std::array<int32_t, kv_block_tokens> tokens;
    int32_t count = 0;  // 0: the block is not in the tree
    int32_t parent = -1;
    uint64_t last_used = 0;
    std::vector<int32_t> children;
    std::span<const int32_t> run() const { return {tokens.data(), static_cast<size_t>(count)}; }
  };

  Node& node(int32_t block) { return nodes_[static_cast<size_t>(block)]; }
  const Node& node(int32_t block) const { return nodes_[static_cast<size_t>(block)]; }
  // Index of the first child whose run is not before `tokens`.
  size_t child_lower_bound(const Node& parent, std::span<const int32_t> tokens) const;
  void attach(int32_t block, int32_t parent, std::span<const int32_t> tokens);
  void detach(int32_t block);
  void evict();

  KvBlocks& blocks_;
  std::vector<Node> nodes_;                             // by block, the root last
  std::set<std::pair<uint64_t, int32_t>> idle_leaves_;  // by last use
  int64_t idle_ = 0;
  uint64_t clock_ = 0;
};

}  // namespace ajet
