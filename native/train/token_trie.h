// A radix tree over the token sequences (prompt, then sampled) of call choices. Only branches split a node.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "train/token_tree.h"

namespace ajet {

inline int64_t sequence_length(const CallChoice& call) {
  return static_cast<int64_t>(call.prompt.size() + call.sampled.size());
}

inline int32_t token_at(const CallChoice& call, int64_t position) {
  const auto prompt = static_cast<int64_t>(call.prompt.size());
  return position < prompt ? call.prompt[static_cast<size_t>(position)]
                           : call.sampled[static_cast<size_t>(position - prompt)];
}

class TokenTrie {
 public:
  // The label is a range of positions of a call that passes here, so tokens are never copied.
  struct Node {
    int32_t parent;
    int32_t first_call;  // orders siblings
    int32_t label_call;
    int32_t children;
    int64_t position;
    int64_t length;
  };

  // `calls` must outlive the trie.
  explicit TokenTrie(std::span<const CallChoice> calls);

  // Node 0 is the root, of length 0, above all first tokens. Splitting appends nodes: indices are in no order.
  const std::vector<Node>& nodes() const { return nodes_; }
  // The nodes that spell the call, from the top; the last may reach beyond the call's end.
  void path(int32_t call, std::vector<int32_t>& nodes) const;
  // All nodes but the root, depth-first, siblings in the order of the first call that made them.
  std::vector<int32_t> preorder() const;

 private:
  void insert(int32_t call);
  int32_t add_node(int32_t parent, int32_t call, int64_t position, int64_t length);
  int32_t split(int32_t node, int64_t length);
  int32_t find_child(int32_t node, int32_t token) const;
  int32_t& child_slot(int32_t node, int32_t token);

  std::span<const CallChoice> calls_;
  std::vector<Node> nodes_;
  std::unordered_map<uint64_t, int32_t> children_;  // (node, first token) -> child
};

}  // namespace ajet
