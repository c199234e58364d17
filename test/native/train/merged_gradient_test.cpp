// The tree's loss and gradient against the same rows computed one at a time, unmerged and uncut, in float64.
#include <cmath>

#include "check.h"
#include "random_calls.h"
#include "reference_model.h"
#include "tiny_model.h"
#include "unmerged_rows.h"

namespace ajet::test {
namespace {

struct Scenario {
  std::string preset;
  uint64_t seed;
  double spread;  // of old log-probs around the model's
  int64_t max_batch_tokens;
  int64_t head_rows;  // rows of logits held at once
  bool tied;
  LossConfig config;
};

void check_scenario(const Scenario& s, int& clipped_steps) {
  RandomStepShape shape{
      .tasks = 2, .repeats = 3, .agents = 2, .turns = 2, .vocab = s.seed % 2 == 0 ? 3 : 13, .longest = 5};
  RandomStep step = random_step(s.seed, shape);
  auto model = tiny_model(s.seed, s.tied);
  TrainerConfig trainer_config;
  trainer_config.optimizer.learning_rate = 0.0;
  trainer_config.max_batch_tokens = s.max_batch_tokens;
  trainer_config.head_scratch_bytes = s.head_rows * model->config().vocab_size * 4;
  trainer_config.reference = s.config.kl != KlKind::none;
  Trainer trainer(model, trainer_config);
  ReferenceModel frozen(*model);
  if (trainer_config.reference) perturb(*model, 0.02, s.seed + 77);
  set_old_logprobs(trainer, step.calls, s.spread, s.seed);

  StepBatch batch;
  batch.calls = views(step.calls);
  if (s.config.kind != LossKind::cross_entropy) {
    batch.groups = step.groups;
    Random random(s.seed + 5);
    for (size_t e = 0; e < step.groups.size(); ++e)
      batch.rewards.push_back(random.chance(0.5) ? 1.0 : random.uniform());
  }
  const StepStats stats = trainer.step(batch, s.config);
  CHECK(stats.updated);

  ReferenceModel reference(*model);
  const double loss = unmerged_loss(reference, frozen, step.calls, {stats.advantages, stats.episodes_kept}, s.config);
  CHECK_LE(std::abs(stats.loss - loss), 1e-5 * std::max(std::abs(loss), 0.01));
  check_gradients(trainer, reference,
                  s.preset + " seed " + std::to_string(s.seed) + " budget " + std::to_string(s.max_batch_tokens));
  clipped_steps += stats.clip_fraction > 0.0 && stats.clip_fraction < 1.0 ? 1 : 0;
}

void check_preset(const std::string& name, double spread, const std::function<void(LossConfig&)>& change, bool clips) {
  int clipped_steps = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Scenario s{name,     seed, spread, seed % 3 == 0 ? 4096 : (seed % 3 == 1 ? 24 : 1), seed % 2 == 0 ? 1000 : 3,
               seed > 3, {}};
    s.config = loss_preset(name);
    change(s.config);
    check_scenario(s, clipped_steps);
  }
  if (clips) CHECK(clipped_steps >= 2);
}

}  // namespace

TEST("reference model: its gradient equals central differences") {
  auto native = tiny_model(3, false);
  ReferenceModel model(*native);
  const Sequence tokens{1, 5, 5, 2, 9};
  const auto loss = [&](const Matrix& logits) {
    double sum = 0.0;
    for (size_t i = 0; i < logits.values.size(); ++i) sum += std::sin(static_cast<double>(i)) * logits.values[i];
    return sum;
  };
  Matrix dlogits = model.forward(tokens);
  for (size_t i = 0; i < dlogits.values.size(); ++i) dlogits.values[i] = std::sin(static_cast<double>(i));
  model.backward(dlogits);
  for (auto& [name, weight] : model.weights()) {
    for (size_t i = 0; i < weight.values.size(); i += 1 + weight.values.size() / 5) {
      const double kept = weight.values[i], step = 1e-5;
      weight.values[i] = kept + step;
      const double above = loss(model.forward(tokens));
      weight.values[i] = kept - step;
      const double below = loss(model.forward(tokens));
      weight.values[i] = kept;
      const double expected = (above - below) / (2 * step);
      CHECK_LE(std::abs(model.gradients().at(name).values[i] - expected), 1e-6 * std::max(1.0, std::abs(expected)));
    }
  }
}

TEST("merged tree: ajet equals the unmerged rows") {
  check_preset("ajet", 0.3, [](auto&) {}, true);
}
TEST("merged tree: agentjet equals the unmerged rows") {
  check_preset("agentjet", 0.8, [](auto&) {}, true);
}
TEST("merged tree: trl-grpo equals the unmerged rows") {
  check_preset("trl-grpo", 0.3, [](auto&) {}, true);
}
TEST("merged tree: trl-dapo equals the unmerged rows") {
  check_preset("trl-dapo", 0.3, [](auto&) {}, true);
}
TEST("merged tree: dr-grpo equals the unmerged rows") {
  check_preset("dr-grpo", 0.3, [](auto& c) { c.max_response_length = 12.0; }, true);
}
TEST("merged tree: verl-grpo equals the unmerged rows") {
  check_preset("verl-grpo", 0.8, [](auto&) {}, true);
}
TEST("merged tree: gspo equals the unmerged rows") {
  check_preset("gspo", 5e-4, [](auto&) {}, true);
}
TEST("merged tree: cispo equals the unmerged rows") {
  check_preset("cispo", 1.0, [](auto& c) { c.cispo_high = 2.0; }, true);
}
TEST("merged tree: sft equals the unmerged rows") {
  check_preset("sft", 0.0, [](auto&) {}, false);
}
TEST("merged tree: entropy bonus and each KL equal the unmerged rows") {
  for (const KlKind kl : {KlKind::k1, KlKind::k2, KlKind::k3}) {
    check_preset("ajet", 0.3, [kl](auto& c) { c.kl = kl, c.kl_coef = 0.3, c.entropy_coef = 0.05; }, true);
  }
}

}  // namespace ajet::test
