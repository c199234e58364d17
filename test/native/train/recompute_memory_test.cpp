// A trainer that decides by the memory of its card what to compute again.
#include "backend/cuda/cuda_backend.h"
#include "check.h"
#include "step_fixture.h"

namespace ajet::test {
namespace {

struct Outcome {
  std::vector<float> weights;
  int64_t tokens_recomputed = 0;
  size_t peak_bytes = 0;
};

// One step of a deep model on a card with so much memory; 0: as much as it likes.
Outcome train(Recompute recompute, size_t memory_limit_bytes) {
  ModelConfig shape = tiny_config();
  shape.layers = 4;
  shape.intermediate_size = 256;
  const auto backend = cuda::make_cuda_backend({.memory_limit_bytes = memory_limit_bytes});
  const auto model = Model::random(backend, shape, 1);
  perturb(*model, 0.2, 2);
  TrainerConfig config = small_batches(1e-2);
  config.max_batch_tokens = 4096;
  config.recompute = recompute;
  Trainer trainer(model, config);
  const auto step = recorded_step(trainer, 1, smallest_step);
  const StepStats stats = trainer.step(step->batch, loss_preset("trl-grpo"));
  CHECK(stats.updated);
  return {arena_values(model->weights()), stats.tokens_recomputed, backend->memory().peak_bytes};
}

}  // namespace

TEST("recompute: auto takes layers where the card has too little memory to keep everything, none where it has enough") {
  const Outcome kept = train(Recompute::none, 0), again = train(Recompute::layers, 0);
  CHECK(again.peak_bytes < kept.peak_bytes);
  const size_t between = (again.peak_bytes + kept.peak_bytes) / 2;
  CHECK_ERROR(train(Recompute::none, between), "[allocate]");
  const Outcome narrow = train(Recompute::automatic, between), wide = train(Recompute::automatic, 0);
  CHECK(kept.tokens_recomputed == 0 && wide.tokens_recomputed == 0);
  CHECK(again.tokens_recomputed > 0 && narrow.tokens_recomputed == again.tokens_recomputed);
  CHECK(again.weights == kept.weights && narrow.weights == kept.weights);
}

}  // namespace ajet::test
