// Some sequences of a paged batch, as a batch of their own.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/batch_layout.h"

namespace ajet {

struct PagedPart {
  int64_t first_row = 0;  // of the whole batch
  int64_t rows = 0;
  std::vector<int32_t> row_offsets, block_offsets;  // from 0 on
  PagedLayout rest;                                 // start_positions, block_table and positions

  PagedLayout layout() const;
};

// At most `parts` parts of whole sequences with nearly equal numbers of rows; one part where they would be too unequal
// to be worth it.
std::vector<PagedPart> split_sequences(const PagedLayout& layout, int64_t parts);

}  // namespace ajet
