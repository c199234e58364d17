// Random requests, cancels, resets and updates against an engine that is always short of blocks.
#include <algorithm>
#include <array>
#include <set>

#include "engine_fixture.h"
#include "recomputation.h"

namespace ajet {
namespace {

using namespace test;

class Random {
 public:
  explicit Random(uint64_t seed) : seed_(seed) {}
  int32_t below(int32_t bound) {
    return static_cast<int32_t>(philox4x32(seed_, counter_++)[0] % static_cast<uint32_t>(bound));
  }

 private:
  uint64_t seed_, counter_ = 0;
};

Request random_request(uint64_t id, Random& random) {
  const auto shared = random_tokens(static_cast<uint64_t>(random.below(3)), 60);
  const auto cut = shared.begin() + random.below(60);
  const auto own = random_tokens(id, 1 + random.below(20));
  Request request = make_request(id, joined({shared.begin(), cut}, own), 1 + random.below(40), id);
  request.choices = random.below(5) == 0 ? 3 : 1;
  request.sampling.temperature = std::array{1.0F, 0.7F, 0.0F}[static_cast<size_t>(random.below(3))];
  if (random.below(4) == 0) request.sampling.stop_token_ids = {random.below(61), random.below(61)};
  return request;
}

TEST("stress: random requests and cancels end once each, with the results of quiet runs") {
  const auto model = tiny_model();
  for (uint64_t seed = 0; seed < 3; ++seed) {
    Random random(seed);
    EngineConfig config = small_cache(8 + random.below(12));
    config.max_sequences = 1 + random.below(12);
    config.max_batch_tokens = 1 + random.below(80);
    Engine engine(model, config);
    Engine quiet(model, small_cache());
    Outcomes outcomes;
    std::vector<Request> requests;
    std::set<uint64_t> cancelled;
    for (uint64_t id = 0; id < 120; ++id) {
      requests.push_back(random_request(id, random));
      engine.submit(requests.back());
      for (int steps = random.below(8); steps > 0; --steps) step(engine, outcomes);
      if (random.below(6) == 0) {
        const auto target = static_cast<uint64_t>(random.below(static_cast<int32_t>(id) + 1));
        if (random.below(2) == 0)
          engine.cancel(target);
        else
          engine.cancel(target, random.below(requests[target].choices));
        cancelled.insert(target);
      }
      if (random.below(25) == 0) engine.reset_prefix_cache();
    }
    while (engine.has_work()) step(engine, outcomes);
    check_all_blocks_return(engine);
    CHECK(engine.stats().preemptions > 0);
    uint64_t generated = 0;
    for (const Request& request : requests) {
      const Outcomes expected = run(quiet, {request});
      for (int32_t choice = 0; choice < request.choices; ++choice) {
        const Outcome& outcome = outcomes.at({request.id, choice});
        generated += outcome.tokens.size();
        if (outcome.finish != FinishReason::cancelled) {
          check_same(outcome, expected.at({request.id, choice}));
          continue;
        }
        CHECK(cancelled.contains(request.id));
        const auto& all = expected.at({request.id, choice}).tokens;
        CHECK(outcome.tokens.size() < all.size());
        CHECK(std::equal(outcome.tokens.begin(), outcome.tokens.end(), all.begin()));
      }
    }
    CHECK_EQ(engine.stats().generated_tokens, generated);
  }
}

TEST("stress: updates of the weights at any time leave nothing stale") {
  const auto model = tiny_model();
  const auto odd = sibling(*model, 2), even = sibling(*model, 1);
  Random random(11);
  EngineConfig config = small_cache(16);
  config.max_batch_tokens = 24;
  Engine engine(model, config);
  Outcomes outcomes;
  std::vector<Request> requests;
  for (uint64_t id = 0; id < 100; ++id) {
    requests.push_back(random_request(id, random));
    requests.back().choices = 1;
    engine.submit(requests.back());
    for (int steps = random.below(12); steps > 0; --steps) step(engine, outcomes);
    if (random.below(3) != 0) continue;
    model->weights_changed();
    model->weights().copy_from((model->version() % 2 == 1 ? odd : even)->weights());
  }
  while (engine.has_work()) step(engine, outcomes);
  int64_t mixed = 0;
  for (const Request& request : requests) {
    const Outcome& outcome = outcomes.at({request.id, 0});
    CHECK(std::is_sorted(outcome.versions.begin(), outcome.versions.end()));
    mixed += outcome.versions.front() != outcome.versions.back();
    const Recomputation under_odd = recompute(*odd, request, outcome.tokens);
    const Recomputation under_even = recompute(*even, request, outcome.tokens);
    for (size_t i = 0; i < outcome.tokens.size(); ++i) {
      const Recomputation& expected = outcome.versions[i] % 2 == 1 ? under_odd : under_even;
      CHECK_EQ(outcome.tokens[i], expected.drawn[i]);
      CHECK_EQ(outcome.logprobs[i], expected.logprobs[i]);
    }
  }
  CHECK(mixed > 10);
  check_all_blocks_return(engine);
}

}  // namespace
}  // namespace ajet
