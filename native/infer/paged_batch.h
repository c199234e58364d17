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

  std::span<const int32_t> tokens() const { return tokens_; }  // [rows]
  PagedLayout layout() const;
  // Rows whose logits are due, one for each of due_sequences().
  std::span<const int32_t> due_rows() const { return due_rows_; }
  std::span<Sequence* const> due_sequences() const { return due_sequences_; }

 private:
  std::vector<int32_t> tokens_, positions_, row_offsets_, start_positions_, block_offsets_, block_table_, due_rows_;
  std::vector<Sequence*> due_sequences_;
};

}  // namespace ajet
