// Cuts within a path: a part of the tree that is longer than a micro-batch may be is computed as several.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/token_tree.h"

namespace ajet {

// Consecutive rows of a tree part, computed at once: all of them, or a piece of a path below the rows before it (its
// context). A view: the part must outlive it.
struct PartSegment {
  int64_t first_row = 0;
  int64_t part_rows = 0;
  std::span<const int32_t> tokens;     // [rows of the segment]
  std::span<const int32_t> positions;  // [first_row + rows of the segment]
  std::vector<TreeNode> nodes;         // of the same rows
  int64_t max_position = 0;
  std::span<const int32_t> entry_index;   // into TokenTree::entries
  std::span<const int32_t> parent_token;  // row of the part for each of entry_index

  bool whole() const { return static_cast<int64_t>(tokens.size()) == part_rows; }
  TreeLayout layout() const { return {nodes, positions, max_position, first_row}; }
};

// Segments of at most max_tokens rows, in order; together they have each row and each entry of the part once. All but
// the first are full: the last one, which needs no second forward pass, saves most that way. A part with branches is
// within max_tokens (see cut_tree) and stays whole.
std::vector<PartSegment> cut_part(const TreePart& part, int64_t max_tokens);

}  // namespace ajet
