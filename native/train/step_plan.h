// Everything of a step that is known before the first forward pass: advantages, tree, parts and each entry's
// coefficients, with denominators over the whole step.
#pragma once

#include <cstdint>
#include <vector>

#include "train/trainer.h"

namespace ajet {

struct StepPlan {
  Advantages advantages;            // [episodes]
  std::vector<CallFate> fates;      // [calls of the batch]
  std::vector<int64_t> offset;      // [calls of the batch + 1] into flat per-token results
  std::vector<int32_t> batch_call;  // [choices of the tree] index into the batch's calls

  TokenTree tree;  // of the kept episodes' calls
  std::vector<TreePart> parts;
  int64_t rows = 0, rows_left_out = 0;  // with entries

  // [entries of the tree]
  std::vector<int32_t> row;
  std::vector<float> old_logprob;
  std::vector<double> advantage, weight;
  std::vector<uint8_t> recorded;  // the sampler's log-prob is known
  double total_weight = 0.0;

  // Place of an entry among the flat per-token results.
  size_t flat_index(const Entry& entry) const {
    return static_cast<size_t>(offset[static_cast<size_t>(batch_call[static_cast<size_t>(entry.choice)])] +
                               entry.index);
  }
};

// Throws invalid_argument where the batch does not fit together.
StepPlan plan_step(const StepBatch& batch, const LossConfig& loss, int64_t max_batch_tokens);

// [calls + 1]: where each call's sampled tokens lie in flat per-token arrays.
std::vector<int64_t> flat_offsets(const std::vector<CallChoice>& calls);

}  // namespace ajet
