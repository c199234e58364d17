#include "model/paged_part.h"

#include <algorithm>

namespace ajet {
namespace {

constexpr double max_imbalance = 1.2;  // rows of the largest part against the mean

// First sequences of the parts, and the end: each cut is the sequence boundary next to an equal share of rows.
std::vector<int64_t> cut_points(const PagedLayout& layout, int64_t parts) {
  std::vector<int64_t> cuts = {0};
  const int64_t rows = layout.row_offsets.back();
  for (int64_t part = 1; part < parts; ++part) {
    const auto wanted = static_cast<int32_t>(rows * part / parts);
    auto at = std::lower_bound(layout.row_offsets.begin(), layout.row_offsets.end(), wanted);
    if (at != layout.row_offsets.begin() && wanted - at[-1] < *at - wanted) --at;
    const int64_t cut = at - layout.row_offsets.begin();
    if (cut > cuts.back() && cut < layout.sequences()) cuts.push_back(cut);
  }
  cuts.push_back(layout.sequences());
  return cuts;
}

std::vector<int32_t> rebased(std::span<const int32_t> offsets) {
  std::vector<int32_t> result(offsets.begin(), offsets.end());
  for (int32_t& offset : result) offset -= offsets.front();
  return result;
}

PagedPart part_of(const PagedLayout& layout, int64_t begin, int64_t end) {
  const auto first = static_cast<size_t>(begin), count = static_cast<size_t>(end - begin);
  const auto row_offsets = layout.row_offsets.subspan(first, count + 1);
  const auto block_offsets = layout.block_offsets.subspan(first, count + 1);
  PagedPart part;
  part.first_row = row_offsets.front();
  part.rows = row_offsets.back() - row_offsets.front();
  part.row_offsets = rebased(row_offsets);
  part.block_offsets = rebased(block_offsets);
  part.rest.start_positions = layout.start_positions.subspan(first, count);
  part.rest.positions = layout.positions.subspan(static_cast<size_t>(part.first_row), static_cast<size_t>(part.rows));
  part.rest.block_table = layout.block_table.subspan(static_cast<size_t>(block_offsets.front()),
                                                     static_cast<size_t>(part.block_offsets.back()));
  return part;
}

}  // namespace

PagedLayout PagedPart::layout() const {
  PagedLayout layout = rest;
  layout.row_offsets = row_offsets;
  layout.block_offsets = block_offsets;
  return layout;
}

std::vector<PagedPart> split_sequences(const PagedLayout& layout, int64_t parts) {
  const std::vector<int64_t> cuts = cut_points(layout, parts);
  std::vector<PagedPart> result;
  int64_t most_rows = 0;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    result.push_back(part_of(layout, cuts[i], cuts[i + 1]));
    most_rows = std::max(most_rows, result.back().rows);
  }
  const double mean = static_cast<double>(layout.row_offsets.back()) / static_cast<double>(parts);
  if (result.size() > 1 && static_cast<double>(most_rows) > max_imbalance * mean) {
    return {part_of(layout, 0, layout.sequences())};
  }
  return result;
}

}  // namespace ajet
