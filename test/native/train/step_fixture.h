// A random step whose log-probs were recorded under a model's own weights, call by call.
#pragma once

#include <memory>
#include <vector>

#include "random_calls.h"
#include "tiny_model.h"
#include "train/trainer.h"

namespace ajet::test {

struct RecordedStep {
  std::vector<OwnedCall> calls;
  StepBatch batch;
};

// Every call is scored alone, as a sampler would have: no tree is shared between calls.
inline void record_logprobs(Trainer& trainer, std::vector<OwnedCall>& calls) {
  std::vector<float> entropies;
  for (OwnedCall& call : calls) trainer.score({call.view()}, false, call.logprobs, entropies);
}

constexpr RandomStepShape usual_step{.tasks = 2, .repeats = 3, .agents = 2, .turns = 2, .vocab = 13, .longest = 6};
// Two episodes of one call each.
constexpr RandomStepShape smallest_step{.tasks = 1, .repeats = 2, .agents = 1, .turns = 1, .vocab = 13, .longest = 6};

inline std::unique_ptr<RecordedStep> recorded_step(Trainer& trainer, uint64_t seed,
                                                   const RandomStepShape& shape = usual_step) {
  auto out = std::make_unique<RecordedStep>();
  RandomStep step = random_step(seed, shape);
  out->calls = std::move(step.calls);
  record_logprobs(trainer, out->calls);
  out->batch.calls = views(out->calls);
  out->batch.groups = step.groups;
  Random random(seed + 1);
  for (size_t e = 0; e < step.groups.size(); ++e) out->batch.rewards.push_back(random.uniform());
  return out;
}

inline TrainerConfig small_batches(double learning_rate) {
  TrainerConfig config;
  config.optimizer.learning_rate = learning_rate;
  config.max_batch_tokens = 40;
  config.head_scratch_bytes = 5 * 13 * 4;  // five rows of logits
  return config;
}

// A model with a trainer of its own.
struct Setup {
  std::shared_ptr<Model> model;
  Trainer trainer;
  explicit Setup(uint64_t seed, const TrainerConfig& config = small_batches(1e-2), int threads = 1)
      : model(tiny_model(seed, true, threads)), trainer(model, config) {}
};

}  // namespace ajet::test
