#include "train/part_segments.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace ajet {

namespace {

// Rows [first, end) of a part that is a single path, as a node below the rows before them.
PartSegment path_segment(const TreePart& part, int64_t first, int64_t end) {
  const auto begin = static_cast<size_t>(first), rows = static_cast<size_t>(end - first);
  const auto entries_before = [&](int64_t row) {
    return static_cast<size_t>(std::ranges::lower_bound(part.parent_token, row) - part.parent_token.begin());
  };
  const size_t first_entry = entries_before(first), entries = entries_before(end) - first_entry;
  PartSegment segment{.first_row = first,
                      .part_rows = static_cast<int64_t>(part.tokens.size()),
                      .tokens = std::span(part.tokens).subspan(begin, rows),
                      .positions = std::span(part.positions).first(begin + rows),
                      .nodes = {},
                      .max_position = end,
                      .entry_index = std::span(part.entry_index).subspan(first_entry, entries),
                      .parent_token = std::span(part.parent_token).subspan(first_entry, entries)};
  if (first > 0) segment.nodes.push_back({0, static_cast<int32_t>(first), -1, 0});
  segment.nodes.push_back({static_cast<int32_t>(first), static_cast<int32_t>(end - first), first > 0 ? 0 : -1,
                           static_cast<int32_t>(first)});
  return segment;
}

}  // namespace

std::vector<PartSegment> cut_part(const TreePart& part, int64_t max_tokens) {
  const auto rows = static_cast<int64_t>(part.tokens.size());
  if (rows <= max_tokens)
    return {{0, rows, part.tokens, part.positions, part.nodes, part.max_position, part.entry_index, part.parent_token}};
  if (max_tokens < 1 || rows != part.max_position)
    fail(ErrorCode::invalid_argument,
         "[cut_part] Expected `max_tokens` >= 1 and a part within it or without branches "
         "but received " +
             std::to_string(max_tokens) + " for " + std::to_string(rows) + " rows of depth " +
             std::to_string(part.max_position));
  std::vector<PartSegment> segments;
  for (int64_t end = (rows - 1) % max_tokens + 1, first = 0; first < rows; first = end, end += max_tokens)
    segments.push_back(path_segment(part, first, end));
  return segments;
}

}  // namespace ajet
