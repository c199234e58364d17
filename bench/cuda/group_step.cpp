#include "group_step.h"

#include <algorithm>

#include "random_ids.h"

namespace ajet::bench {

std::string GroupShape::text() const {
  return std::to_string(responses) + " x (" + std::to_string(prompt) + " + " + std::to_string(response) + ")";
}

GroupStep::GroupStep(const GroupShape& shape, int64_t vocab_size)
    : prompt_(random_ids(1, shape.prompt, vocab_size)), logprobs_(static_cast<size_t>(shape.responses)) {
  for (int64_t i = 0; i < shape.responses; ++i)
    responses_.push_back(random_ids(2 + static_cast<uint64_t>(i), shape.response, vocab_size));
}

std::vector<CallChoice> GroupStep::calls() const {
  std::vector<CallChoice> calls;
  for (size_t i = 0; i < responses_.size(); ++i)
    calls.push_back({static_cast<int32_t>(i), prompt_, responses_[i], logprobs_[i], 1.0F, {}});
  return calls;
}

void GroupStep::record(Trainer& trainer) {
  std::vector<float> flat, entropies;
  trainer.score(calls(), false, flat, entropies);
  auto next = flat.begin();
  for (size_t i = 0; i < responses_.size(); ++i) {
    const auto count = static_cast<std::ptrdiff_t>(responses_[i].size());
    logprobs_[i].assign(next, next + count);
    next += count;
  }
}

StepBatch GroupStep::batch() const {
  StepBatch batch;
  batch.calls = calls();
  for (size_t i = 0; i < responses_.size(); ++i) batch.advantages.push_back(i % 2 == 0 ? 1.0 : -1.0);
  return batch;
}

}  // namespace ajet::bench
