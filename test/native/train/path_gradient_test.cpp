// Cuts within a path change nothing: every budget gives the bits of the uncut loss and log-probs, and the gradient of
// the rows computed whole, in float64.
#include <cmath>
#include <cstring>
#include <functional>

#include "check.h"
#include "tiny_model.h"
#include "unmerged_rows.h"

namespace ajet::test {
namespace {

struct LossCase {
  const char* preset;
  double spread;  // of old log-probs around the model's: some of the entries are clipped
  std::function<void(LossConfig&)> change = [](LossConfig&) {};
};

std::vector<LossCase> loss_cases() {
  std::vector<LossCase> all{{"ajet", 0.3},
                            {"agentjet", 0.8},
                            {"trl-grpo", 0.3},
                            {"trl-dapo", 0.3},
                            {"dr-grpo", 0.3, [](LossConfig& c) { c.max_response_length = 12.0; }},
                            {"verl-grpo", 0.8},
                            {"gspo", 1e-3},
                            {"cispo", 1.0, [](LossConfig& c) { c.cispo_high = 2.0; }},
                            {"sft", 0.0}};
  for (const KlKind kl : {KlKind::k1, KlKind::k2, KlKind::k3})
    all.push_back({"ajet", 0.3, [kl](LossConfig& c) { c.kl = kl, c.kl_coef = 0.3, c.entropy_coef = 0.05; }});
  return all;
}

// Episodes that all went the same way: one path, and one entry for each of them at every sampled token.
RandomStep path_step(uint64_t seed) {
  Random random(seed);
  RandomStep step;
  constexpr int32_t episodes = 4;
  std::vector<int32_t> context = random.tokens(9, 13);
  for (int32_t turn = 0; turn < 5; ++turn) {
    const std::vector<int32_t> sampled = random.tokens(random.integer(1, 9), 13);
    for (int32_t episode = 0; episode < episodes; ++episode) {
      OwnedCall call{.episode = episode, .prompt = context, .sampled = sampled, .logprobs = {}, .mask = {}};
      call.logprobs.resize(sampled.size());
      if (episode == 1) call.temperature = 0.7F;
      if (episode == 2) call.mask.assign(sampled.size(), 1), call.mask.front() = 0;
      step.calls.push_back(call);
      if (turn == 2 && episode == 0) step.calls.push_back(call);  // a duplicate choice
    }
    context = step.calls.back().sequence();
    const std::vector<int32_t> tool = random.tokens(random.integer(1, 4), 13);
    context.insert(context.end(), tool.begin(), tool.end());
  }
  step.groups.assign(episodes, 0);
  return step;
}

struct Outcome {
  std::shared_ptr<Model> model;
  std::unique_ptr<Trainer> trainer;
  StepStats stats;
};

// A model of its own, its reference at a distance, and one step with the given budget.
Outcome run(const std::vector<OwnedCall>& calls, const std::vector<int32_t>& groups, const LossConfig& loss,
            uint64_t seed, int64_t max_batch_tokens, int threads = 1) {
  Outcome out{tiny_model(seed, true, threads), nullptr, {}};
  TrainerConfig config;
  config.optimizer.learning_rate = 0.0;
  config.max_batch_tokens = max_batch_tokens;
  config.head_scratch_bytes = (seed % 2 == 0 ? 1000 : 3) * out.model->config().vocab_size * 4;
  config.reference = loss.kl != KlKind::none;
  out.trainer = std::make_unique<Trainer>(out.model, config);
  if (config.reference) perturb(*out.model, 0.02, seed + 77);
  StepBatch batch;
  batch.calls = views(calls);
  if (loss.kind != LossKind::cross_entropy) {
    batch.groups = groups;
    Random random(seed + 5);
    for (size_t e = 0; e < groups.size(); ++e) batch.rewards.push_back(random.uniform());
  }
  out.stats = out.trainer->step(batch, loss);
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Returns the uncut step's share of clipped entries.
double check_budgets(const RandomStep& step, const LossCase& loss_case, uint64_t seed,
                     const std::vector<int64_t>& budgets) {
  LossConfig loss = loss_preset(loss_case.preset);
  loss_case.change(loss);
  std::vector<OwnedCall> calls = step.calls;
  auto start = tiny_model(seed);
  ReferenceModel frozen(*start);
  if (loss.kl != KlKind::none) perturb(*start, 0.02, seed + 77);
  Trainer scorer(start, {});
  set_old_logprobs(scorer, calls, loss_case.spread, seed);

  const Outcome whole = run(calls, step.groups, loss, seed, 4096);
  ReferenceModel oracle(*start);
  const Advantages advantages{whole.stats.advantages, whole.stats.episodes_kept};
  const double exact = unmerged_loss(oracle, frozen, calls, advantages, loss);
  CHECK_LE(std::abs(whole.stats.loss - exact), 1e-5 * std::max(std::abs(exact), 0.01));
  for (const int64_t budget : budgets) {
    const Outcome cut = run(calls, step.groups, loss, seed, budget);
    const std::string what = std::string(loss_case.preset) + ", budget " + std::to_string(budget);
    check_gradients(*cut.trainer, oracle, what);
    CHECK_EQ(cut.stats.loss, whole.stats.loss);
    CHECK_EQ(cut.stats.policy_loss, whole.stats.policy_loss);
    CHECK_EQ(cut.stats.kl, whole.stats.kl);
    CHECK_EQ(cut.stats.entropy, whole.stats.entropy);
    CHECK_EQ(cut.stats.clip_fraction, whole.stats.clip_fraction);
    CHECK(same_bits(cut.stats.logprobs, whole.stats.logprobs));
    CHECK(same_bits(cut.stats.entropies, whole.stats.entropies));
    CHECK(cut.stats.micro_batches > 1);
    const Outcome threads = run(calls, step.groups, loss, seed, budget, 2);
    CHECK(arena_values(threads.trainer->gradients()) == arena_values(cut.trainer->gradients()));
  }
  return whole.stats.clip_fraction;
}

int64_t needed_path(const RandomStep& step) {
  int64_t longest = 0;
  for (const OwnedCall& call : step.calls) longest = std::max<int64_t>(longest, std::ssize(call.sequence()) - 1);
  return longest;
}

}  // namespace

TEST("path cuts: one long path equals its uncut self at every budget, for every loss") {
  int clips = 0, with_clip = 0;
  for (const LossCase& loss_case : loss_cases()) {
    const RandomStep step = path_step(3);
    const int64_t rows = needed_path(step);
    const double clipped = check_budgets(step, loss_case, 3, {1, 7, rows / 2 + 1, rows - 1});
    clips += clipped > 0.0 && clipped < 1.0 ? 1 : 0;
    with_clip += loss_case.spread > 0.0 ? 1 : 0;
  }
  CHECK_EQ(clips, with_clip);
}

TEST("path cuts: every budget from one token a segment up to the path") {
  const RandomStep step = path_step(8);
  std::vector<int64_t> budgets;
  for (int64_t budget = 1; budget < needed_path(step); ++budget) budgets.push_back(budget);
  check_budgets(step, {"ajet", 0.3}, 8, budgets);
}

TEST("path cuts: random trees whose paths are longer than a micro-batch, for every loss") {
  uint64_t seed = 40;
  for (const LossCase& loss_case : loss_cases()) {
    ++seed;
    const RandomStepShape shape{
        .tasks = 2, .repeats = 2, .agents = 2, .turns = 2, .vocab = seed % 2 == 0 ? 3 : 13, .longest = 6};
    const RandomStep step = random_step(seed, shape);
    check_budgets(step, loss_case, seed, {1, 3, needed_path(step) - 1});
  }
}

}  // namespace ajet::test
