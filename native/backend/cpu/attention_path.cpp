#include "backend/cpu/attention_path.h"

#include <algorithm>

namespace ajet::cpu {

int64_t node_of_row(const TreeLayout& tree, int64_t row) {
  const auto after = std::upper_bound(tree.nodes.begin(), tree.nodes.end(), row,
                                      [](int64_t r, const TreeNode& node) { return r < node.first_token; });
  return after - tree.nodes.begin() - 1;
}

std::vector<int32_t> path_above(const TreeLayout& tree, int64_t row) {
  int64_t n = node_of_row(tree, row);
  int64_t end = row;  // rows of node n below `end` are on the path
  std::vector<int32_t> rows(tree.nodes[n].position + row - tree.nodes[n].first_token);
  while (n >= 0) {
    const TreeNode& node = tree.nodes[n];
    for (int64_t r = node.first_token; r < end; ++r)
      rows[node.position + r - node.first_token] = static_cast<int32_t>(r);
    n = node.parent;
    if (n >= 0) end = int64_t{tree.nodes[n].first_token} + tree.nodes[n].tokens;
  }
  return rows;
}

int64_t attended_pairs(const TreeLayout& tree) {
  int64_t pairs = 0;
  for (const int32_t position : tree.positions.subspan(tree.context_tokens)) pairs += position + 1;
  return pairs;
}

std::vector<RowRange> split_by_pairs(const TreeLayout& tree, int64_t count) {
  const int64_t total = attended_pairs(tree), rows = static_cast<int64_t>(tree.positions.size());
  std::vector<RowRange> ranges;
  int64_t begin = tree.context_tokens, pairs = 0;
  for (int64_t row = begin; row < rows; ++row) {
    pairs += tree.positions[row] + 1;
    const int64_t made = static_cast<int64_t>(ranges.size());
    if (row + 1 == rows || pairs >= (made + 1) * total / count) {
      ranges.push_back({begin, row + 1});
      begin = row + 1;
    }
  }
  return ranges;
}

}  // namespace ajet::cpu
