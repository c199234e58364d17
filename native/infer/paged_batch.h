// The scheduled runs as the arrays of one forward pass. Reused from step to step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/batch_layout.h"
#include "infer/scheduler.h"

namespace ajet {

class PagedBatch {
 public:
  void build(std::span<const ScheduledRun> runs);

  // [rows]; -1 - i for a token that is draw i of the pass before.
  std::span<const int32_t> tokens() const { return tokens_; }
  PagedLayout layout() const;
  // Rows whose logits are due, one for each of due_sequences().
  std::span<const int32_t> due_rows() const { return due_rows_; }
  std::span<Sequence* const> due_sequences() const { return due_sequences_; }
  // One row for each sequence, all due: the next token of each.
  bool all_decode() const { return due_rows_.size() == tokens_.size(); }

 private:
  std::vector<int32_t> tokens_, positions_, row_offsets_, start_positions_, block_offsets_, block_table_, due_rows_;
  std::vector<Sequence*> due_sequences_;
};

}  // namespace ajet
