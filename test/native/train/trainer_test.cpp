// What a step promises: exactly on-policy, atomic on failure, the same bits for any number of threads.
#include "train/trainer.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "check.h"
#include "row_oracle.h"
#include "step_fixture.h"

namespace ajet::test {
namespace {

ErrorCode code_of(const std::function<void()>& statement) {
  try {
    statement();
  } catch (const Error& error) {
    return error.code();
  }
  throw Failure("nothing was thrown");
}

// Runs `disturb` on one of two equal trainers, then the same good step on both: nothing of the disturbance may stay.
void check_leaves_no_trace(const std::function<void(Setup&, RecordedStep&)>& disturb) {
  Setup disturbed(5), untouched(5);
  auto step = recorded_step(disturbed.trainer, 9), same = recorded_step(untouched.trainer, 9);
  const auto before = arena_values(disturbed.model->weights());
  const uint64_t version = disturbed.model->version();
  disturb(disturbed, *step);
  CHECK(arena_values(disturbed.model->weights()) == before);
  CHECK_EQ(disturbed.model->version(), version);
  CHECK_EQ(disturbed.trainer.steps_done(), 0);
  const LossConfig loss = loss_preset("trl-grpo");
  auto again = recorded_step(disturbed.trainer, 9);
  CHECK(disturbed.trainer.step(again->batch, loss).updated && untouched.trainer.step(same->batch, loss).updated);
  CHECK(arena_values(disturbed.model->weights()) == arena_values(untouched.model->weights()));
}

}  // namespace

TEST("trainer: log-probs recorded call by call are those of the merged and cut tree, to the last bit") {
  for (const char* preset : {"ajet", "gspo"}) {
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      Setup setup(seed, small_batches(0.0), 1 + static_cast<int>(seed % 2));
      auto step = recorded_step(setup.trainer, seed);
      const StepStats stats = setup.trainer.step(step->batch, loss_preset(preset));
      CHECK(stats.micro_batches > 1);
      CHECK_EQ(stats.logprob_max_abs_diff, 0.0);
      CHECK_EQ(stats.logprobs_compared, stats.entries);
      CHECK_EQ(stats.ratio_max, 1.0);
      CHECK_EQ(stats.clip_fraction, 0.0);
    }
  }
}

TEST("trainer: the comparison sees one changed weight, and counts NaN as infinitely far") {
  Setup setup(2, small_batches(0.0));
  auto step = recorded_step(setup.trainer, 3);
  const ParameterSlice& slice = setup.model->weights().layout().slices[5];
  std::vector<float> values;
  setup.model->weights().read(slice, values);
  values[7] = -values[7];
  setup.model->weights().write(slice, values.data());
  CHECK(setup.trainer.step(step->batch, loss_preset("ajet")).logprob_max_abs_diff > 0.0);

  OwnedCall call{.episode = 0, .prompt = {1, 2}, .sampled = {3, 4}, .logprobs = {-1.0F, std::nanf("")}, .mask = {}};
  StepBatch supervised;
  supervised.calls = {call.view()};
  const StepStats stats = setup.trainer.step(supervised, loss_preset("sft"));
  CHECK_EQ(stats.logprob_max_abs_diff, std::numeric_limits<double>::infinity());
  CHECK_EQ(stats.logprobs_compared, 2);
  call.logprobs.clear();
  supervised.calls = {call.view()};
  CHECK_EQ(setup.trainer.step(supervised, loss_preset("sft")).logprobs_compared, 0);
}

TEST("trainer: a loss or gradient that is not finite leaves weights, version and moments untouched") {
  for (const float bad : {std::nanf(""), -std::numeric_limits<float>::infinity(), -1e30F}) {
    check_leaves_no_trace([bad](Setup& setup, RecordedStep& step) {
      for (OwnedCall& call : step.calls) std::fill(call.logprobs.begin(), call.logprobs.end(), bad);
      const auto run = [&] { setup.trainer.step(step.batch, loss_preset("trl-grpo")); };
      CHECK(code_of(run) == ErrorCode::numeric);
    });
  }
}

TEST("trainer: a step that is stopped at any point leaves no trace") {
  for (const int polls : {0, 1, 4, 9}) {
    check_leaves_no_trace([polls](Setup& setup, RecordedStep& step) {
      int left = polls;
      const auto run = [&] { setup.trainer.step(step.batch, loss_preset("trl-grpo"), [&] { return left-- == 0; }); };
      CHECK(code_of(run) == ErrorCode::aborted);
    });
  }
}

TEST("trainer: evaluate_only computes the same losses and log-probs and changes nothing") {
  check_leaves_no_trace([](Setup& setup, RecordedStep& step) {
    for (const char* preset : {"trl-grpo", "gspo"}) {
      step.batch.evaluate_only = true;
      const StepStats evaluated = setup.trainer.step(step.batch, loss_preset(preset));
      CHECK(!evaluated.updated && evaluated.grad_norm == 0.0);
      Setup other(5);
      step.batch.evaluate_only = false;
      const StepStats stepped = other.trainer.step(step.batch, loss_preset(preset));
      CHECK_EQ(evaluated.loss, stepped.loss);
      CHECK_EQ(evaluated.entropy, stepped.entropy);
      for (size_t i = 0; i < stepped.logprobs.size(); ++i)
        CHECK(evaluated.logprobs[i] == stepped.logprobs[i] || std::isnan(stepped.logprobs[i]));
    }
  });
}

TEST("trainer: groups without a difference: left out by ajet, kept at zero by agentjet") {
  Setup setup(4);
  auto step = recorded_step(setup.trainer, 4);
  std::fill(step->batch.rewards.begin(), step->batch.rewards.end(), 0.25);
  const auto before = arena_values(setup.model->weights());
  const uint64_t version = setup.model->version();
  const StepStats stats = setup.trainer.step(step->batch, loss_preset("ajet"));
  CHECK(!stats.updated && stats.entries == 0 && stats.rows == 0 && stats.rows_left_out > 0);
  CHECK_EQ(stats.tokens_trained, 0);
  CHECK_EQ(stats.version, version);
  CHECK_EQ(setup.trainer.steps_done(), 0);
  CHECK(arena_values(setup.model->weights()) == before);
  CHECK(stats.fates == RowOracle(step->calls).fates);

  const StepStats kept = setup.trainer.step(step->batch, loss_preset("trl-grpo"));
  CHECK(kept.updated && kept.entries > 0 && kept.grad_norm == 0.0 && kept.version == version + 1);
  StepBatch nothing;
  CHECK(!setup.trainer.step(nothing, loss_preset("ajet")).updated);
}

TEST("trainer: one group left out does not count in any denominator") {
  Setup setup(6, small_batches(0.0));
  auto step = recorded_step(setup.trainer, 6);
  for (size_t e = 0; e < step->batch.groups.size(); ++e) {
    if (step->batch.groups[e] == 0) step->batch.rewards[e] = 1.0;
  }
  const StepStats whole = setup.trainer.step(step->batch, loss_preset("ajet"));
  const auto gradient = arena_values(setup.trainer.gradients());
  StepBatch part;
  std::vector<OwnedCall> kept;
  for (const OwnedCall& call : step->calls) {
    if (step->batch.groups[static_cast<size_t>(call.episode)] != 0) kept.push_back(call);
  }
  part.calls = views(kept);
  part.rewards = step->batch.rewards;
  part.groups = step->batch.groups;
  const StepStats alone = setup.trainer.step(part, loss_preset("ajet"));
  CHECK(whole.rows_left_out > 0 && alone.rows_left_out == 0);
  CHECK_EQ(whole.loss, alone.loss);
  CHECK_EQ(whole.tokens_trained, alone.tokens_trained);
  CHECK_EQ(whole.tokens_unshared, RowOracle(kept).unshared_tokens);
  CHECK(gradient == arena_values(setup.trainer.gradients()));
  CHECK(whole.fates == RowOracle(step->calls).fates);
}

TEST("trainer: results per token are in call order, NaN where nothing was trained") {
  Setup setup(7, small_batches(0.0));
  auto step = recorded_step(setup.trainer, 7);
  std::vector<float> logprobs, entropies;
  setup.trainer.score(step->batch.calls, false, logprobs, entropies);
  const StepStats stats = setup.trainer.step(step->batch, loss_preset("trl-grpo"));
  CHECK_EQ(stats.logprobs.size(), logprobs.size());
  size_t flat = 0, trained = 0;
  for (const OwnedCall& call : step->calls) {
    for (size_t i = 0; i < call.sampled.size(); ++i, ++flat) {
      CHECK_EQ(logprobs[flat], call.logprobs[i]);
      const bool masked = !call.mask.empty() && call.mask[i] == 0;
      CHECK_EQ(std::isnan(stats.logprobs[flat]), masked);
      if (masked) continue;
      ++trained;
      CHECK_EQ(stats.logprobs[flat], logprobs[flat]);
      CHECK_EQ(stats.entropies[flat], entropies[flat]);
    }
  }
  CHECK_EQ(stats.entries, static_cast<int64_t>(trained));
  CHECK_EQ(stats.tokens_unshared, RowOracle(step->calls).unshared_tokens);
  CHECK(stats.tokens_tree <= stats.tokens_unshared);
}

TEST("trainer: tokens_trained counts every forward position, those of GSPO's first pass too") {
  Setup whole(8, [] {
    TrainerConfig config = small_batches(0.0);
    config.max_batch_tokens = 4096;
    return config;
  }());
  Setup cut(8, small_batches(0.0));
  auto step = recorded_step(whole.trainer, 8);
  const auto trained = [&](Setup& setup, const char* preset) {
    return setup.trainer.step(step->batch, loss_preset(preset)).tokens_trained;
  };
  const int64_t once = trained(whole, "trl-grpo");
  CHECK_LE(once, whole.trainer.step(step->batch, loss_preset("trl-grpo")).tokens_tree);
  CHECK_EQ(trained(whole, "gspo"), once);
  const int64_t with_cuts = trained(cut, "trl-grpo");
  CHECK(with_cuts > once);
  CHECK_EQ(trained(cut, "gspo"), 2 * with_cuts);
}

TEST("trainer: the same bits with 1 and 2 threads") {
  Setup one(11, small_batches(1e-2), 1), two(11, small_batches(1e-2), 2);
  for (const char* preset : {"ajet", "gspo", "cispo"}) {
    auto step = recorded_step(one.trainer, 11), same = recorded_step(two.trainer, 11);
    const StepStats a = one.trainer.step(step->batch, loss_preset(preset));
    const StepStats b = two.trainer.step(same->batch, loss_preset(preset));
    CHECK(a.updated && a.loss == b.loss && a.grad_norm == b.grad_norm && a.entropy == b.entropy);
    CHECK(arena_values(one.model->weights()) == arena_values(two.model->weights()));
  }
}

TEST("trainer: given advantages replace rewards; batches that do not fit are refused") {
  Setup setup(12, small_batches(0.0));
  auto step = recorded_step(setup.trainer, 12);
  const LossConfig loss = loss_preset("trl-grpo");
  const StepStats computed = setup.trainer.step(step->batch, loss);
  StepBatch given = step->batch;
  given.advantages = computed.advantages;
  given.rewards.clear();
  given.groups.clear();
  CHECK_EQ(setup.trainer.step(given, loss).loss, computed.loss);

  const auto run = [&](auto change, const char* preset = "trl-grpo") {
    StepBatch batch = step->batch;
    change(batch);
    setup.trainer.step(batch, loss_preset(preset));
  };
  CHECK_ERROR(run([](auto& b) { b.rewards.pop_back(); }), "`groups` of");
  CHECK_ERROR(run([](auto& b) { b.rewards.pop_back(), b.groups.pop_back(); }), "`episode` below 5");
  CHECK_ERROR(run([](auto& b) { b.advantages = {1.0}; }), "as many `advantages` as `rewards`");
  CHECK_ERROR(run([](auto& b) { b.calls[0].logprobs = {}; }), "recorded `logprobs`");
  CHECK_ERROR(run([](auto&) {}, "sft"), "no `rewards` and no `advantages`");
  CHECK_ERROR(run([](auto&) {}, "agentjet"), "TrainerConfig.reference");
  CHECK_ERROR(run([](auto&) {}, "dr-grpo"), "`max_response_length` > 0");
  std::vector<float> logprobs, entropies;
  CHECK_ERROR(setup.trainer.score(step->batch.calls, true, logprobs, entropies), "TrainerConfig.reference");
  const std::vector<int32_t> unknown{1, 99};
  CHECK_ERROR(run([&](auto& b) { b.calls[0].prompt = unknown; }), "99");
  const std::vector<int32_t> long_prompt(600, 1);
  CHECK_ERROR(run([&](auto& b) { b.calls[0].prompt = long_prompt; }), "max_position_embeddings");
}

}  // namespace ajet::test
