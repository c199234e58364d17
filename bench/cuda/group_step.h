// The batch of an update: a group of responses to one prompt, of random tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "train/trainer.h"

namespace ajet::bench {

struct GroupShape {
  int64_t prompt, response, responses;
  std::string text() const;  // "8 x (512 + 1024)"
};

class GroupStep {
 public:
  GroupStep(const GroupShape& shape, int64_t vocab_size);

  // Takes the trainer's own log-probs for recorded ones, as a sampler would have left them.
  void record(Trainer& trainer);

  // Advantages 1, -1, 1, ...: a response for each. Valid while this lives.
  StepBatch batch() const;
  const std::vector<int32_t>& prompt() const { return prompt_; }
  const std::vector<std::vector<int32_t>>& responses() const { return responses_; }
  const std::vector<std::vector<float>>& logprobs() const { return logprobs_; }

 private:
  std::vector<CallChoice> calls() const;

  std::vector<int32_t> prompt_;
  std::vector<std::vector<int32_t>> responses_;
  std::vector<std::vector<float>> logprobs_;  // [responses][tokens]
};

}  // namespace ajet::bench
