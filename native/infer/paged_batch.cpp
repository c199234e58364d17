#include "infer/paged_batch.h"

namespace ajet {

void PagedBatch::build(std::span<const ScheduledRun> runs) {
  for (auto* list :
       {&tokens_, &positions_, &row_offsets_, &start_positions_, &block_offsets_, &block_table_, &due_rows_}) {
    list->clear();
  }
  due_sequences_.clear();
  row_offsets_.push_back(0);
  block_offsets_.push_back(0);
  for (const ScheduledRun& run : runs) {
    const int32_t end = run.first + run.count;
    for (int32_t position = run.first; position < end; ++position) {
      const Sequence& sequence = *run.sequence;
      tokens_.push_back(position < sequence.known() ? sequence.tokens[static_cast<size_t>(position)]
                                                    : -1 - sequence.drawn_row);
      positions_.push_back(position);
    }
    const auto& blocks = run.sequence->blocks;
    const auto used = static_cast<std::ptrdiff_t>(blocks_for(end));
    block_table_.insert(block_table_.end(), blocks.begin(), blocks.begin() + used);
    start_positions_.push_back(run.first);
    row_offsets_.push_back(static_cast<int32_t>(tokens_.size()));
    block_offsets_.push_back(static_cast<int32_t>(block_table_.size()));
    if (!run.last()) continue;
    due_rows_.push_back(row_offsets_.back() - 1);
    due_sequences_.push_back(run.sequence);
  }
}

PagedLayout PagedBatch::layout() const {
  return {row_offsets_, start_positions_, block_offsets_, block_table_, positions_};
}

}  // namespace ajet
