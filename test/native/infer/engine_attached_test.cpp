// An engine over weights that another model trains: the same tokens and log-probs, and nothing of older weights.
#include <atomic>
#include <thread>

#include "engine_fixture.h"
#include "model/shared_weights.h"
#include "model/weights_access.h"

namespace ajet::test {
namespace {

std::shared_ptr<Model> attach(Model& model) {
  return std::make_shared<Model>(make_cpu_backend(1), AttachedWeights::open(model.share()));
}

// All weights times `factor`, as an update.
void scale(Model& model, float factor) {
  WeightsUpdate change("test", model);
  std::vector<float> values;
  for (const ParameterSlice& slice : model.weights().layout().slices) {
    model.weights().read(slice, values);
    for (float& value : values) value *= factor;
    model.weights().write(slice, values.data());
  }
  model.weights_changed();
  change.finish();
}

TEST("engine, attached: same prompt and seed give the trainer's own tokens and log-probs, at every version") {
  const auto model = tiny_model();
  const auto other = attach(*model);
  Engine own(model, small_cache()), attached(other, small_cache());
  const std::vector<int32_t> prompt = random_tokens(3, 40);
  Outcome first;
  for (uint64_t version = 0; version < 3; ++version) {
    const Outcome expected = run_one(own, make_request(version, prompt, 24, 5));
    const Outcome outcome = run_one(attached, make_request(version, prompt, 24, 5));
    check_same(outcome, expected);
    CHECK(outcome.versions == expected.versions);
    CHECK_EQ(outcome.versions.back(), version);
    CHECK_EQ(outcome.cached_tokens, 0);
    if (version == 0)
      first = outcome;
    else
      CHECK(outcome.logprobs != first.logprobs);
    // Asked again, the prompt is found; after the update it must not be.
    CHECK(run_one(attached, make_request(100, prompt, 1)).cached_tokens > 0);
    scale(*model, 1.5F);
  }
}

TEST("engine, attached: it pauses while the weights are written, and goes on with the new ones") {
  const auto model = tiny_model();
  const auto other = attach(*model);
  Engine engine(other, small_cache()), own(model, small_cache());
  const std::vector<int32_t> prompt = random_tokens(3, 20);
  Outcomes outcomes;
  engine.submit(make_request(1, prompt, 8));
  step(engine, outcomes);
  {
    WeightsUpdate change("test", *model);
    const size_t sampled = outcomes.at({1, 0}).tokens.size();
    for (int i = 0; i < 3; ++i) step(engine, outcomes);
    CHECK_EQ(outcomes.at({1, 0}).tokens.size(), sampled);
    CHECK(engine.has_work());
    model->weights_changed();
    change.finish();
  }
  while (engine.has_work()) step(engine, outcomes);
  CHECK_EQ(outcomes.at({1, 0}).versions.front(), 0U);
  CHECK_EQ(outcomes.at({1, 0}).versions.back(), 1U);
  check_same(outcomes.at({1, 0}), run_one(own, make_request(1, prompt, 8)));  // the weights themselves are the same
  check_all_blocks_return(engine);
}

TEST("engine, attached: updates at any moment tear no token") {
  const auto model = tiny_model();
  const auto other = attach(*model);
  Engine engine(other, small_cache());
  std::atomic<bool> done = false;
  constexpr uint64_t updates = 40;
  std::thread writer([&] {
    for (uint64_t i = 0; i < updates; ++i) scale(*model, i % 2 == 0 ? 2.0F : 0.5F);  // exact both ways
    done = true;
  });
  const std::vector<int32_t> prompt = random_tokens(3, 20);
  std::vector<std::pair<uint64_t, Outcome>> seen;
  while (!done) {
    const Outcome outcome = run_one(engine, make_request(seen.size(), prompt, 1, 9));
    seen.emplace_back(outcome.versions.front(), outcome);
  }
  writer.join();
  CHECK_EQ(other->attached()->reader().version(), updates);
  const Outcome even = run_one(engine, make_request(1 << 20, prompt, 1, 9));
  scale(*model, 2.0F);
  const Outcome odd = run_one(engine, make_request(1 << 21, prompt, 1, 9));
  CHECK(even.logprobs != odd.logprobs);
  for (const auto& [version, outcome] : seen) check_same(outcome, version % 2 == 0 ? even : odd);
}

TEST("engine, attached: weights that were left half-written are an error, and the engine lives on") {
  auto model = tiny_model();
  const auto other = attach(*model);
  Engine engine(other, small_cache());
  { WeightsUpdate change("test", *model); }
  model.reset();
  engine.submit(make_request(1, random_tokens(3, 20), 4));
  std::vector<TokenEvent> events;
  CHECK_ERROR(engine.step(events), "not whole and are not served");
  CHECK(events.empty());
  engine.cancel_all();
  engine.step(events);
  CHECK_EQ(events.size(), 1U);
  check_all_blocks_return(engine);
}

}  // namespace
}  // namespace ajet::test
