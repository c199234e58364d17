// Token trees to test attention with, and attention over them in float64, straight from the definition.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "backend/batch_layout.h"
#include "base/rng.h"

namespace ajet::test {

struct RandomTree {
  std::vector<TreeNode> nodes;
  std::vector<int32_t> positions;
  std::vector<int32_t> parent_row;  // row before on the path, -1 at a root
  int64_t max_position = 0;
  int64_t context_tokens = 0;

  TreeLayout layout() const { return {nodes, positions, max_position, context_tokens}; }
  int64_t rows() const { return static_cast<int64_t>(positions.size()); }

  // Adds a node below `parent` (-1: a root). Call in depth-first pre-order.
  int32_t add(int32_t parent, int32_t tokens) {
    const int32_t first = static_cast<int32_t>(rows());
    const int32_t position = parent < 0 ? 0 : nodes[parent].position + nodes[parent].tokens;
    const int32_t above = parent < 0 ? -1 : nodes[parent].first_token + nodes[parent].tokens - 1;
    for (int32_t t = 0; t < tokens; ++t) {
      parent_row.push_back(t > 0 ? first + t - 1 : above);
      positions.push_back(position + t);
    }
    nodes.push_back({first, tokens, parent, position});
    max_position = std::max<int64_t>(max_position, position + tokens);
    return static_cast<int32_t>(nodes.size()) - 1;
  }

  // The rows [0, end), those before `begin` as context.
  RandomTree segment(int64_t begin, int64_t end) const {
    RandomTree out;
    std::vector<int32_t> last_piece(nodes.size());  // of each node, among the new nodes
    for (size_t n = 0; n < nodes.size() && nodes[n].first_token < end; ++n) {
      const int64_t first = nodes[n].first_token, stop = std::min<int64_t>(first + nodes[n].tokens, end);
      const int64_t border = begin > first && begin < stop ? begin : first;
      int32_t parent = nodes[n].parent < 0 ? -1 : last_piece[static_cast<size_t>(nodes[n].parent)];
      if (border > first) parent = out.add(parent, static_cast<int32_t>(border - first));
      last_piece[n] = out.add(parent, static_cast<int32_t>(stop - border));
    }
    out.context_tokens = begin;
    return out;
  }

  // Rows from the root to `row`.
  std::vector<int32_t> path(int64_t row) const {
    std::vector<int32_t> rows_above;
    for (int32_t r = static_cast<int32_t>(row); r >= 0; r = parent_row[r]) rows_above.push_back(r);
    return {rows_above.rbegin(), rows_above.rend()};
  }

  // Last rows of the nodes without children: the ends of the sequences that the tree merges.
  std::vector<int32_t> leaf_rows() const {
    std::vector<bool> has_child(nodes.size());
    for (const TreeNode& node : nodes)
      if (node.parent >= 0) has_child[node.parent] = true;
    std::vector<int32_t> leaves;
    for (size_t n = 0; n < nodes.size(); ++n)
      if (!has_child[n]) leaves.push_back(nodes[n].first_token + nodes[n].tokens - 1);
    return leaves;
  }

  static RandomTree chain(int32_t node_count, int32_t tokens) {
    RandomTree tree;
    for (int32_t n = 0; n < node_count; ++n) tree.add(n - 1, tokens);
    return tree;
  }

  // A forest with branches of every depth; a third of the nodes are single tokens.
  static RandomTree random(uint64_t seed, int32_t node_count, int32_t longest_node) {
    RandomTree tree;
    std::vector<int32_t> open;  // path to the last node
    for (int32_t n = 0; n < node_count; ++n) {
      const auto draw = [&](uint64_t stream) { return uniform_double(seed, static_cast<uint64_t>(n), stream); };
      while (!open.empty() && draw(open.size()) < 0.4) open.pop_back();
      const int32_t tokens = draw(1000) < 0.33 ? 1 : 1 + static_cast<int32_t>(draw(1001) * longest_node);
      open.push_back(tree.add(open.empty() ? -1 : open.back(), tokens));
    }
    return tree;
  }
};

}  // namespace ajet::test
