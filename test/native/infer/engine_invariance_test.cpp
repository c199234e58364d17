// The same request gives the same tokens and log-probs, to the last bit, whatever happens around it, and the
// trainer's forward pass gives the same log-probs.
#include <array>
#include <utility>

#include "engine_fixture.h"
#include "recomputation.h"

namespace ajet {
namespace {

using namespace test;

// 8 groups of 8 with one system prompt, equal prompts within a group, and every way to sample.
std::vector<Request> batch_of_64() {
  std::vector<Request> requests;
  const auto system = random_tokens(1, 45);
  for (uint64_t group = 0; group < 8; ++group) {
    const auto prompt = joined(system, random_tokens(100 + group, 5 + 7 * static_cast<int32_t>(group)));
    for (uint64_t member = 0; member < 8; ++member) {
      const uint64_t id = group * 8 + member;
      Request request = make_request(id, prompt, 3 + static_cast<int32_t>(id * 5 % 37), 1000 + id);
      request.sampling.temperature = std::array{1.0F, 0.7F, 0.0F}[id % 3];
      if (member == 3) request.sampling.top_p = 0.8F;
      if (member == 4) request.sampling.top_k = 9;
      if (member == 5) request.sampling.min_p = 0.2F;
      if (member == 6) request.sampling.top_logprobs = 4;
      if (member == 7) request.sampling.stop_token_ids = {3, 7, 11};
      requests.push_back(std::move(request));
    }
  }
  return requests;
}

// Each request in an engine of its own.
Outcomes each_alone(const std::shared_ptr<Model>& model, const std::vector<Request>& requests) {
  Outcomes outcomes;
  for (const Request& request : requests) {
    Engine engine(model, small_cache());
    outcomes.merge(run(engine, {request}));
  }
  return outcomes;
}

TEST("invariance: a request alone and in a batch of 64") {
  for (const char* model_type : {"qwen3", "qwen2", "llama"}) {
    const auto model = tiny_model(2, model_type);
    const auto requests = batch_of_64();
    Engine engine(model, small_cache());
    check_same(run(engine, requests), each_alone(model, requests));
    CHECK(engine.stats().prefix_hit_tokens > 0);
    check_all_blocks_return(engine);
  }
}

TEST("invariance: prefilled in chunks of any size") {
  const auto model = tiny_model();
  const auto requests = batch_of_64();
  const auto expected = each_alone(model, requests);
  for (const int32_t max_batch_tokens : {1, 7, 16, 33, 100}) {
    EngineConfig config = small_cache();
    config.max_batch_tokens = max_batch_tokens;
    Engine engine(model, config);
    check_same(run(engine, requests), expected);
  }
}

TEST("invariance: continued from the prefix tree") {
  const auto model = tiny_model();
  const auto requests = batch_of_64();
  const auto expected = each_alone(model, requests);
  Engine engine(model, small_cache());
  for (int round = 0; round < 2; ++round) {
    for (const Request& request : requests) check_same(run_one(engine, request), expected.at({request.id, 0}));
  }
  // In the second round only the last prompt token is computed.
  const EngineStats before = engine.stats();
  check_same(run(engine, requests), expected);
  CHECK_EQ(engine.stats().prefill_tokens - before.prefill_tokens, uint64_t{64});
}

TEST("invariance: with 1, 2 and 3 threads") {
  const auto requests = batch_of_64();
  Engine one(tiny_model(1), small_cache());
  const auto expected = run(one, requests);
  for (const int threads : {2, 3}) {
    Engine engine(tiny_model(threads), small_cache());
    check_same(run(engine, requests), expected);
  }
}

TEST("invariance: under preemption, with blocks for one request at a time and more") {
  const auto model = tiny_model();
  const auto requests = batch_of_64();
  const auto expected = each_alone(model, requests);
  for (const int64_t blocks : {9, 13, 20, 40}) {
    Engine engine(model, small_cache(blocks));
    check_same(run(engine, requests), expected);
    if (blocks <= 20) CHECK(engine.stats().preemptions > 0);
    check_all_blocks_return(engine);
  }
}

TEST("invariance: submitted in other orders and at other times") {
  const auto model = tiny_model();
  auto requests = batch_of_64();
  const auto expected = each_alone(model, requests);
  for (uint64_t order = 0; order < 3; ++order) {
    for (size_t i = requests.size() - 1; i > 0; --i)
      std::swap(requests[i], requests[philox4x32(order, i)[0] % (i + 1)]);
    EngineConfig config = small_cache(40);
    config.max_sequences = 5 + static_cast<int32_t>(order) * 10;
    Engine engine(model, config);
    Outcomes outcomes;
    for (size_t i = 0; i < requests.size(); ++i) {
      engine.submit(requests[i]);
      if (i % (order + 2) == 0) step(engine, outcomes);
    }
    while (engine.has_work()) step(engine, outcomes);
    check_same(outcomes, expected);
  }
}

TEST("invariance: the turns of a conversation continue from what the turn before computed") {
  const auto model = tiny_model();
  Engine kept(model, small_cache());
  auto tokens = random_tokens(5, 30);
  for (uint64_t turn = 0; turn < 5; ++turn) {
    const Request request = make_request(turn, tokens, 21, turn);
    Engine fresh(model, small_cache());
    const EngineStats before = kept.stats();
    const Outcome outcome = run_one(kept, request);
    check_same(outcome, run_one(fresh, request));
    // All that was computed is found again: the prompt and the completion but for its last token.
    const size_t computed_before = turn == 0 ? 0 : tokens.size() - 8 - 1;
    CHECK_EQ(kept.stats().prefix_hit_tokens - before.prefix_hit_tokens, uint64_t{computed_before});
    tokens = joined(joined(tokens, outcome.tokens), random_tokens(50 + turn, 8));
  }
}

TEST("invariance: choices share the prompt and draw like requests of their own") {
  const auto model = tiny_model();
  const auto prompt = random_tokens(9, 43);
  Request request = make_request(1, prompt, 25, 77);
  request.choices = 12;
  Engine roomy(model, small_cache());
  const auto expected = run(roomy, {request});
  CHECK_EQ(expected.size(), size_t{12});
  CHECK_EQ(roomy.stats().prefill_tokens, uint64_t{43 + 11});
  CHECK_EQ(roomy.stats().prompt_tokens, roomy.stats().prefill_tokens + roomy.stats().prefix_hit_tokens);
  CHECK(expected.at({1, 0}).tokens != expected.at({1, 1}).tokens);

  Request single = request;
  single.choices = 1;
  Engine alone(model, small_cache());
  check_same(run_one(alone, single), expected.at({1, 0}));

  Engine starved(model, small_cache(5));  // 43 + 25 - 1 tokens: one after another
  check_same(run(starved, {request}), expected);
  EngineConfig narrow = small_cache();
  narrow.max_sequences = 5;
  Engine few(model, narrow);
  check_same(run(few, {request}), expected);
}

TEST("invariance: the trainer's forward pass gives the sampler's log-probs and draws") {
  for (const char* model_type : {"qwen3", "qwen2", "llama"}) {
    const auto model = tiny_model(2, model_type);
    const auto requests = batch_of_64();
    Engine engine(model, small_cache(20));
    const auto outcomes = run(engine, requests);
    for (const Request& request : requests) {
      const Outcome& outcome = outcomes.at({request.id, 0});
      const Recomputation expected = recompute(*model, request, outcome.tokens);
      CHECK(outcome.tokens == expected.drawn);
      for (size_t i = 0; i < outcome.tokens.size(); ++i) CHECK_EQ(outcome.logprobs[i], expected.logprobs[i]);
    }
  }
}

TEST("invariance: one changed weight changes the recomputed log-probs") {
  const auto model = tiny_model();
  Engine engine(model, small_cache());
  const Request request = make_request(1, random_tokens(3, 20), 30);
  const Outcome outcome = run_one(engine, request);
  CHECK(recompute(*model, request, outcome.tokens).logprobs == outcome.logprobs);
  const auto& slice = model->weights().layout().slices.back();
  std::vector<float> values;
  model->weights().read(slice, values);
  values[values.size() / 2] += 0.01F;
  model->weights().write(slice, values.data());
  CHECK(recompute(*model, request, outcome.tokens).logprobs != outcome.logprobs);
}

}  // namespace
}  // namespace ajet
