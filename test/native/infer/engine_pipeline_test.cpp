// Passes that are queued before the tokens of the last one are here: the results of passes one by one, to the last bit,
// whatever ends, changes or fails in between.
#include <limits>

#include "engine_fixture.h"

namespace ajet {
namespace {

using namespace test;

EngineConfig with_pipeline(bool pipelined, int64_t kv_blocks = 512) {
  EngineConfig config = small_cache(kv_blocks);
  config.pipelined = pipelined;
  return config;
}

// Two engines over one model, given the same requests.
struct Pair {
  explicit Pair(const std::shared_ptr<Model>& model, int64_t kv_blocks = 512)
      : plain(model, with_pipeline(false, kv_blocks)), pipelined(model, with_pipeline(true, kv_blocks)) {}
  Engine plain, pipelined;
};

TEST("engine, pipelined: off and on where asked for; unset, on where the device runs beside the host") {
  const auto model = tiny_model();
  EngineConfig config;
  config.kv_blocks = 8;
  CHECK_EQ(*Engine(model, config).config().pipelined, model->backend()->is_asynchronous());
  for (const bool on : {false, true}) CHECK_EQ(*Engine(model, with_pipeline(on)).config().pipelined, on);
}

TEST("engine, pipelined: a stop token drops what was being computed behind it") {
  const auto model = tiny_model();
  Pair pair(model);
  const auto prompt = random_tokens(2, 20);
  Engine other(model, with_pipeline(false));
  const Outcome free_running = run_one(other, make_request(1, prompt, 40));
  Request request = make_request(2, prompt, 40);
  request.sampling.stop_token_ids = {free_running.tokens[11]};
  const Outcome expected = run_one(pair.plain, request), outcome = run_one(pair.pipelined, request);
  CHECK(expected.finish == FinishReason::stop);
  check_same(outcome, expected);
  CHECK_EQ(pair.pipelined.stats().generated_tokens, expected.tokens.size());
  // The next turn finds the same tokens in the cache: the stop token was computed, but does not count.
  const Request next = make_request(3, joined(joined(prompt, expected.tokens), {1, 2, 3}), 5);
  const Outcome next_plain = run_one(pair.plain, next), next_pipelined = run_one(pair.pipelined, next);
  check_same(next_pipelined, next_plain);
  CHECK_EQ(next_pipelined.cached_tokens, next_plain.cached_tokens);
  check_all_blocks_return(pair.pipelined);
}

TEST("engine, pipelined: every step gives one pass's tokens, and none is computed behind a choice's last") {
  const auto model = tiny_model();
  Pair pair(model);
  Request request = make_request(1, random_tokens(1, 40), 9);
  request.choices = 3;
  request.sampling.top_logprobs = 2;
  pair.plain.submit(request);
  pair.pipelined.submit(request);
  Outcomes plain, pipelined;
  while (pair.plain.has_work()) {
    step(pair.plain, plain);
    step(pair.pipelined, pipelined);
    check_same(pipelined, plain);
  }
  CHECK(!pair.pipelined.has_work());
  CHECK_EQ(pair.pipelined.stats().prefill_tokens, pair.plain.stats().prefill_tokens);
  CHECK_EQ(pair.pipelined.stats().generated_tokens, uint64_t{27});
}

TEST("engine, pipelined: a sequence preempted while its token is on its way goes on with it, or ends with it") {
  const auto model = tiny_model();
  std::vector<Request> requests;
  for (uint64_t id = 0; id < 6; ++id) {
    requests.push_back(make_request(id, random_tokens(id, 12 + static_cast<int32_t>(id)), 60, id));
    requests.back().sampling.stop_token_ids = {static_cast<int32_t>(id), 40, 41};
  }
  Engine roomy(model, with_pipeline(false));
  const Outcomes expected = run(roomy, requests);
  uint64_t preemptions = 0;
  for (const int64_t blocks : {6, 7, 9, 12}) {
    Engine engine(model, with_pipeline(true, blocks));
    check_same(run(engine, requests), expected);
    preemptions += engine.stats().preemptions;
    check_all_blocks_return(engine);
  }
  CHECK(preemptions > 0);
}

TEST("engine, pipelined: what was drawn for a cancelled choice is dropped, and its id is free at once") {
  const auto model = tiny_model();
  Pair pair(model);
  const Request kept = make_request(1, random_tokens(1, 20), 12, 4);
  const Outcome expected = run_one(pair.plain, kept);
  Outcomes outcomes;
  pair.pipelined.submit(kept);
  pair.pipelined.submit(make_request(2, random_tokens(2, 30), 50));
  for (int i = 0; i < 4; ++i) step(pair.pipelined, outcomes);
  pair.pipelined.cancel(2);
  pair.pipelined.submit(make_request(2, random_tokens(3, 10), 7, 9));
  outcomes.erase({2, 0});
  std::vector<TokenEvent> events;
  pair.pipelined.step(events);
  CHECK_EQ(events.front().request, uint64_t{2});
  CHECK(events.front().finish == FinishReason::cancelled);
  collect(outcomes, {events.begin() + 1, events.end()});
  while (pair.pipelined.has_work()) step(pair.pipelined, outcomes);
  check_same(outcomes.at({1, 0}), expected);
  check_same(outcomes.at({2, 0}), run_one(pair.plain, make_request(2, random_tokens(3, 10), 7, 9)));
  check_all_blocks_return(pair.pipelined);
}

TEST("engine, pipelined: cancelled as a whole and disposed of while a pass is under way") {
  const auto model = tiny_model();
  const Request request = make_request(1, random_tokens(1, 20), 30);
  Pair pair(model);
  const Outcome expected = run_one(pair.plain, request);
  Outcomes outcomes;
  pair.pipelined.submit(request);
  for (int i = 0; i < 3; ++i) step(pair.pipelined, outcomes);
  pair.pipelined.cancel_all();
  step(pair.pipelined, outcomes);
  CHECK(!pair.pipelined.has_work());
  check_all_blocks_return(pair.pipelined);
  check_same(run_one(pair.pipelined, request), expected);
  {
    Engine engine(model, with_pipeline(true));
    engine.submit(request);
    Outcomes unfinished;
    for (int i = 0; i < 3; ++i) step(engine, unfinished);
    CHECK(engine.has_work());
  }
  check_same(run_one(pair.plain, request), expected);
}

TEST("engine, pipelined: logits that are not finite fail the pass they are of; the one before it counts") {
  const auto model = tiny_model();
  Pair pair(model);
  const Request request = make_request(1, random_tokens(1, 20), 10);
  const Outcome expected = run_one(pair.plain, request);
  Outcomes outcomes;
  pair.pipelined.submit(request);
  for (int i = 0; i < 3; ++i) step(pair.pipelined, outcomes);
  const auto& slice = model->weights().layout().slices.front();
  std::vector<float> values;
  model->weights().read(slice, values);
  const std::vector<float> poison(values.size(), std::numeric_limits<float>::quiet_NaN());
  model->weights().write(slice, poison.data());
  step(pair.pipelined, outcomes);
  CHECK_EQ(outcomes.at({1, 0}).tokens.size(), size_t{4});
  CHECK_ERROR(step(pair.pipelined, outcomes), "Expected finite logits");
  model->weights().write(slice, values.data());
  while (pair.pipelined.has_work()) step(pair.pipelined, outcomes);
  check_same(outcomes.at({1, 0}), expected);
}

}  // namespace
}  // namespace ajet
