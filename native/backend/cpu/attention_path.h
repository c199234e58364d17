// The walk over a token tree that both directions of attention share.
//
// Rows of the batch are in depth-first pre-order, so any range of rows can be walked alone: lay the path above its
// first row into a buffer by absolute position, then go on row by row, each node overwriting what its finished sibling
// left at the same positions. No gather per node, no recursion.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/batch_layout.h"

namespace ajet::cpu {

struct RowRange {
  int64_t begin;
  int64_t end;
};

// Rows on the path strictly above `row`, by position.
std::vector<int32_t> path_above(const TreeLayout& tree, int64_t row);

// At most `count` ranges of the rows behind the context, of about equal numbers of (query, key) pairs.
std::vector<RowRange> split_by_pairs(const TreeLayout& tree, int64_t count);

// Pairs of a query and a key it sees, one head.
int64_t attended_pairs(const TreeLayout& tree);

// Index of the node that owns the row.
int64_t node_of_row(const TreeLayout& tree, int64_t row);

// Calls run(first_row, rows, position) for each run of consecutive rows of a path.
template <typename Run>
void for_each_path_run(const std::vector<int32_t>& path, Run run) {
  const int64_t length = static_cast<int64_t>(path.size());
  for (int64_t begin = 0, end; begin < length; begin = end) {
    for (end = begin + 1; end < length && path[end] == path[end - 1] + 1;) ++end;
    run(path[begin], end - begin, begin);
  }
}

// Calls run(first_row, rows, position) for the part of each node that lies in the range.
template <typename Run>
void for_each_run(const TreeLayout& tree, RowRange range, Run run) {
  for (int64_t n = node_of_row(tree, range.begin); n < static_cast<int64_t>(tree.nodes.size()); ++n) {
    const TreeNode& node = tree.nodes[n];
    if (node.first_token >= range.end) return;
    const int64_t first = node.first_token > range.begin ? node.first_token : range.begin;
    const int64_t node_end = int64_t{node.first_token} + node.tokens;
    const int64_t end = node_end < range.end ? node_end : range.end;
    run(first, end - first, node.position + first - node.first_token);
  }
}

}  // namespace ajet::cpu
