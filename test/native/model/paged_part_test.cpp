// A paged batch cut into parts of whole sequences.
#include "model/paged_part.h"

#include "base/rng.h"
#include "check.h"

namespace ajet::test {
namespace {

// Sequences of so many new rows each, with distinct blocks and positions.
struct Batch {
  std::vector<int32_t> row_offsets = {0}, block_offsets = {0}, starts, blocks, positions;

  explicit Batch(const std::vector<int32_t>& rows) {
    for (const int32_t count : rows) {
      const auto start = static_cast<int32_t>(7 * starts.size());
      starts.push_back(start);
      for (int32_t row = 0; row < count; ++row) positions.push_back(start + row);
      row_offsets.push_back(static_cast<int32_t>(positions.size()));
      const int64_t used = (start + count + kv_block_tokens - 1) / kv_block_tokens;
      for (int64_t block = 0; block < used; ++block) blocks.push_back(static_cast<int32_t>(blocks.size()));
      block_offsets.push_back(static_cast<int32_t>(blocks.size()));
    }
  }
  PagedLayout layout() const { return {row_offsets, starts, block_offsets, blocks, positions}; }
};

// Every sequence of the whole is in the parts once, in order, with its rows, positions and blocks.
void check_covers(const Batch& batch, const std::vector<PagedPart>& parts) {
  int64_t sequence = 0, row = 0;
  for (const PagedPart& part : parts) {
    const PagedLayout layout = part.layout();
    CHECK_EQ(part.first_row, row);
    for (int64_t s = 0; s < layout.sequences(); ++s, ++sequence) {
      const auto whole = static_cast<size_t>(sequence), own = static_cast<size_t>(s);
      CHECK_EQ(layout.start_positions[own], batch.starts[whole]);
      CHECK_EQ(layout.row_offsets[own + 1] - layout.row_offsets[own],
               batch.row_offsets[whole + 1] - batch.row_offsets[whole]);
      for (int32_t r = layout.row_offsets[own]; r < layout.row_offsets[own + 1]; ++r, ++row)
        CHECK_EQ(layout.positions[static_cast<size_t>(r)], batch.positions[static_cast<size_t>(row)]);
      for (int32_t b = layout.block_offsets[own]; b < layout.block_offsets[own + 1]; ++b) {
        const int32_t at = batch.block_offsets[whole] + b - layout.block_offsets[own];
        CHECK_EQ(layout.block_table[static_cast<size_t>(b)], batch.blocks[static_cast<size_t>(at)]);
      }
    }
    CHECK_EQ(part.rows, static_cast<int64_t>(layout.positions.size()));
  }
  CHECK_EQ(row, static_cast<int64_t>(batch.positions.size()));
  CHECK_EQ(sequence, static_cast<int64_t>(batch.starts.size()));
}

TEST("paged part: sequences of one row are shared evenly") {
  const Batch batch(std::vector<int32_t>(33, 1));
  const auto parts = split_sequences(batch.layout(), 2);
  CHECK_EQ(parts.size(), size_t{2});
  CHECK_EQ(parts[0].rows, 16);
  check_covers(batch, parts);
}

TEST("paged part: one long sequence stays in one part with the rest") {
  const Batch batch({1, 1, 200, 1, 1});
  const auto parts = split_sequences(batch.layout(), 2);
  CHECK_EQ(parts.size(), size_t{1});
  check_covers(batch, parts);
}

TEST("paged part: more parts than sequences") {
  const Batch batch({5});
  check_covers(batch, split_sequences(batch.layout(), 4));
}

TEST("paged part: random batches are covered") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<int32_t> rows;
    const auto count = 1 + static_cast<int64_t>(uniform_double(seed, 0) * 40);
    for (int64_t i = 0; i < count; ++i)
      rows.push_back(1 + static_cast<int32_t>(uniform_double(seed, static_cast<uint64_t>(i), 1) * 30));
    const Batch batch(rows);
    for (int64_t parts = 1; parts <= 5; ++parts) {
      const auto split = split_sequences(batch.layout(), parts);
      CHECK(static_cast<int64_t>(split.size()) <= parts);
      check_covers(batch, split);
    }
  }
}

}  // namespace
}  // namespace ajet::test
