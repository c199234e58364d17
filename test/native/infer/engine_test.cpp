// What ends a choice, what is refused, what is counted, and what a change of the weights does.
#include <algorithm>
#include <limits>

#include "engine_fixture.h"
#include "recomputation.h"

namespace ajet {
namespace {

using namespace test;

TEST("engine: a choice ends at max_tokens, at the context's end, and at a stop token") {
  const auto model = tiny_model();
  EngineConfig config = small_cache();
  config.max_context = 50;
  Engine engine(model, config);
  const auto prompt = random_tokens(2, 20);
  const Outcome by_length = run_one(engine, make_request(1, prompt, 13));
  CHECK_EQ(by_length.tokens.size(), size_t{13});
  CHECK(by_length.finish == FinishReason::length);

  const Outcome by_context = run_one(engine, make_request(2, prompt, 1000));
  CHECK_EQ(by_context.tokens.size(), size_t{30});
  CHECK(by_context.finish == FinishReason::length);

  const Outcome longest_prompt = run_one(engine, make_request(3, random_tokens(3, 49), 5));
  CHECK_EQ(longest_prompt.tokens.size(), size_t{1});

  // Stop where a token first appears that was sampled before.
  const int32_t stop = by_context.tokens[17];
  const auto first = std::find(by_context.tokens.begin(), by_context.tokens.end(), stop) - by_context.tokens.begin();
  Request stopped = make_request(4, prompt, 1000);
  stopped.sampling.stop_token_ids = {stop};
  const Outcome by_stop = run_one(engine, stopped);
  CHECK(by_stop.finish == FinishReason::stop);
  CHECK_EQ(static_cast<std::ptrdiff_t>(by_stop.tokens.size()), first + 1);
  CHECK_EQ(by_stop.tokens.back(), stop);

  stopped.id = 5;
  stopped.sampling.max_tokens = static_cast<int32_t>(first) + 1;  // both at once
  CHECK(run_one(engine, stopped).finish == FinishReason::stop);
  check_all_blocks_return(engine);
}

TEST("engine: greedy takes the most likely token, with the log-prob of temperature 1") {
  Engine engine(tiny_model(), small_cache());
  Request request = make_request(1, random_tokens(4, 10), 12);
  request.sampling.temperature = 0;
  request.sampling.top_logprobs = 3;
  const Outcome outcome = run_one(engine, request);
  for (size_t i = 0; i < outcome.tokens.size(); ++i) {
    CHECK_EQ(outcome.top_tokens[i].size(), size_t{3});
    CHECK_EQ(outcome.top_tokens[i][0], outcome.tokens[i]);
    CHECK_EQ(outcome.top_logprobs[i][0], outcome.logprobs[i]);
    CHECK(outcome.top_logprobs[i][0] >= outcome.top_logprobs[i][1]);
  }
}

TEST("engine: top log-probs are those of the request's temperature") {
  Engine engine(tiny_model(), small_cache());
  Request request = make_request(1, random_tokens(4, 10), 20);
  request.sampling.temperature = 0.5F;
  request.sampling.top_logprobs = 20;
  const Outcome outcome = run_one(engine, request);
  size_t found = 0;
  for (size_t i = 0; i < outcome.tokens.size(); ++i) {
    for (size_t k = 0; k < 20; ++k) {
      if (outcome.top_tokens[i][k] != outcome.tokens[i]) continue;
      CHECK_EQ(outcome.top_logprobs[i][k], outcome.logprobs[i]);
      ++found;
    }
  }
  CHECK(found > 0);
}

TEST("engine: another seed draws other tokens, the same seed the same") {
  Engine engine(tiny_model(), small_cache());
  const auto prompt = random_tokens(6, 10);
  const Outcome first = run_one(engine, make_request(1, prompt, 20, 5));
  const Outcome again = run_one(engine, make_request(2, prompt, 20, 5));
  const Outcome other = run_one(engine, make_request(3, prompt, 20, 6));
  check_same(again, first);
  CHECK(other.tokens != first.tokens);
}

TEST("engine: cancel in every state frees the blocks and reports each choice once") {
  const auto model = tiny_model();
  const auto long_prompt = random_tokens(1, 100);
  EngineConfig config = small_cache(10);
  config.max_batch_tokens = 32;

  Engine engine(model, config);
  Outcomes outcomes;
  engine.submit(make_request(1, long_prompt, 20));
  engine.cancel(1);  // waiting
  CHECK(engine.has_work());
  step(engine, outcomes);
  CHECK(!engine.has_work());
  check_all_blocks_return(engine);

  engine.submit(make_request(2, long_prompt, 20));
  step(engine, outcomes);
  engine.cancel(2);  // prefilling
  CHECK_EQ(engine.stats().running, int64_t{0});
  step(engine, outcomes);
  check_all_blocks_return(engine);

  engine.submit(make_request(3, long_prompt, 20));
  while (outcomes[{3, 0}].tokens.size() < 5) step(engine, outcomes);
  engine.cancel(3);  // decoding
  engine.cancel(3);
  engine.cancel(99);
  step(engine, outcomes);
  check_all_blocks_return(engine);
  CHECK_EQ(outcomes.at({3, 0}).tokens.size(), size_t{5});

  Request request = make_request(4, random_tokens(2, 20), 100);  // two do not fit
  request.choices = 2;
  engine.submit(request);
  while (engine.stats().preemptions == 0) step(engine, outcomes);
  CHECK_EQ(engine.stats().waiting, int64_t{1});
  engine.cancel(4);  // preempted and decoding
  step(engine, outcomes);
  check_all_blocks_return(engine);
  for (const auto& [key, outcome] : outcomes) CHECK(outcome.finish == FinishReason::cancelled);
  CHECK_EQ(outcomes.size(), size_t{5});

  engine.submit(make_request(5, long_prompt, 20));
  engine.submit(make_request(6, long_prompt, 20));
  step(engine, outcomes);
  engine.cancel_all();
  step(engine, outcomes);
  CHECK(!engine.has_work());
  check_all_blocks_return(engine);
}

TEST("engine: what others get does not change when a request is cancelled") {
  const auto model = tiny_model();
  const Request kept = make_request(1, random_tokens(1, 40), 30, 3);
  Engine alone(model, small_cache());
  const Outcome expected = run_one(alone, kept);
  for (const int cancel_after : {0, 1, 2, 10}) {
    EngineConfig config = small_cache();
    config.max_batch_tokens = 16;
    Engine engine(model, config);
    Outcomes outcomes;
    engine.submit(make_request(2, kept.prompt, 50));  // the kept request awaits its prefill
    engine.submit(kept);
    for (int i = 0; i < cancel_after; ++i) step(engine, outcomes);
    engine.cancel(2);
    while (engine.has_work()) step(engine, outcomes);
    check_same(outcomes.at({1, 0}), expected);
  }
}

TEST("engine: one choice can be cancelled; the others end as if it had gone on") {
  const auto model = tiny_model();
  Request request = make_request(1, random_tokens(1, 40), 30, 3);
  request.choices = 4;
  Engine whole(model, small_cache());
  const Outcomes expected = run(whole, {request});

  EngineConfig config = small_cache();
  config.max_sequences = 2;  // two choices wait
  Engine engine(model, config);
  Outcomes outcomes;
  engine.submit(request);
  while (outcomes[{1, 0}].tokens.size() < 5) step(engine, outcomes);
  engine.cancel(1, 0);  // decoding
  engine.cancel(1, 0);
  engine.cancel(1, 3);  // waiting
  engine.cancel(1, 7);
  engine.cancel(99, 0);
  while (engine.has_work()) step(engine, outcomes);
  CHECK_EQ(outcomes.size(), size_t{4});
  CHECK_EQ(outcomes.at({1, 0}).tokens.size(), size_t{5});
  CHECK_EQ(outcomes.at({1, 3}).tokens.size(), size_t{0});
  for (const int32_t choice : {0, 3}) CHECK(outcomes.at({1, choice}).finish == FinishReason::cancelled);
  for (const int32_t choice : {1, 2}) check_same(outcomes.at({1, choice}), expected.at({1, choice}));
  CHECK_EQ(engine.stats().generated_tokens, uint64_t{5 + 30 + 30});
  check_all_blocks_return(engine);
}

TEST("engine: each choice tells how much of its prompt was cached when it first ran") {
  const auto model = tiny_model();
  Engine engine(model, small_cache());
  const auto prompt = random_tokens(1, 40);
  const Outcome first = run_one(engine, make_request(1, prompt, 5));
  CHECK_EQ(first.cached_tokens, 0);
  const uint64_t hits = engine.stats().prefix_hit_tokens;
  const auto second_turn = joined(joined(prompt, first.tokens), random_tokens(2, 7));
  const Outcome second = run_one(engine, make_request(2, second_turn, 5));
  CHECK_EQ(second.cached_tokens, 44);  // the last token of a choice is never computed
  CHECK_EQ(engine.stats().prefix_hit_tokens - hits, uint64_t{44});
  CHECK_EQ(run_one(engine, make_request(3, prompt, 5)).cached_tokens, 39);  // the last row's logits are due
  engine.reset_prefix_cache();
  CHECK_EQ(run_one(engine, make_request(4, prompt, 5)).cached_tokens, 0);

  Engine crowded(model, small_cache(10));  // two do not fit
  Request request = make_request(1, random_tokens(2, 20), 100);
  request.choices = 2;
  const Outcomes outcomes = run(crowded, {request});
  CHECK(crowded.stats().preemptions > 0);
  CHECK_EQ(outcomes.at({1, 0}).cached_tokens, 0);
  CHECK(outcomes.at({1, 1}).cached_tokens < 20);  // not what it found of itself after a preemption
}

TEST("engine: new weights drop the cached KV, and requests in flight go on under them") {
  const auto model = tiny_model(2, "qwen3", 1);
  const auto before = model->frozen_copy();
  Engine engine(model, small_cache());
  std::vector<Request> requests;
  for (uint64_t id = 0; id < 6; ++id)
    requests.push_back(make_request(id, joined(random_tokens(1, 30), random_tokens(id / 2, 9)), 40, id));
  for (const Request& request : requests) engine.submit(request);
  Outcomes outcomes;
  for (int i = 0; i < 12; ++i) step(engine, outcomes);
  model->weights().copy_from(sibling(*model, 2)->weights());
  model->weights_changed();
  const uint64_t hits = engine.stats().prefix_hit_tokens;
  const Outcomes old_outcomes = outcomes;
  step(engine, outcomes);
  CHECK_EQ(engine.stats().prefix_hit_tokens, hits);  // the first to run again finds nothing; the others await it
  while (engine.has_work()) step(engine, outcomes);

  for (const Request& request : requests) {
    const Outcome& outcome = outcomes.at({request.id, 0});
    // Pipelined, the tokens of one more pass arrive after the update.
    const auto kept = static_cast<size_t>(std::ranges::count(outcome.versions, uint64_t{0}));
    const size_t before_update = old_outcomes.at({request.id, 0}).tokens.size();
    CHECK(kept > 0 && kept < outcome.tokens.size());
    CHECK(kept == before_update || (*engine.config().pipelined && kept == before_update + 1));
    const Recomputation under_old = recompute(*before, request, outcome.tokens);
    const Recomputation under_new = recompute(*model, request, outcome.tokens);
    for (size_t i = 0; i < outcome.tokens.size(); ++i) {
      const Recomputation& expected = i < kept ? under_old : under_new;
      CHECK_EQ(outcome.versions[i], uint64_t{i < kept ? 0U : 1U});
      CHECK_EQ(outcome.tokens[i], expected.drawn[i]);
      CHECK_EQ(outcome.logprobs[i], expected.logprobs[i]);
    }
  }
  // A new request finds nothing of the old weights, and a fresh engine agrees.
  Engine fresh(model, small_cache());
  const Request late = make_request(50, requests[0].prompt, 20, 4);
  check_same(run_one(engine, late), run_one(fresh, late));
  check_all_blocks_return(engine);
}

TEST("engine: NaN weights fail the step, and requests in flight go on once they are mended") {
  const auto model = tiny_model();
  Engine undisturbed(model, small_cache());
  const Request request = make_request(1, random_tokens(1, 20), 10);
  const Outcome expected = run_one(undisturbed, request);

  Engine engine(model, small_cache());
  Outcomes outcomes;
  engine.submit(request);
  for (int i = 0; i < 4; ++i) step(engine, outcomes);
  const auto& slice = model->weights().layout().slices.front();
  std::vector<float> values;
  model->weights().read(slice, values);
  const std::vector<float> poison(values.size(), std::numeric_limits<float>::quiet_NaN());
  model->weights().write(slice, poison.data());
  if (*engine.config().pipelined) step(engine, outcomes);  // a pass with the old weights is under way
  const size_t drawn = outcomes.at({1, 0}).tokens.size();
  for (int i = 0; i < 2; ++i) CHECK_ERROR(step(engine, outcomes), "NaN or infinity for request 1");
  CHECK_EQ(outcomes.at({1, 0}).tokens.size(), drawn);
  CHECK(engine.has_work());
  model->weights().write(slice, values.data());
  while (engine.has_work()) step(engine, outcomes);
  check_same(outcomes.at({1, 0}), expected);
  check_all_blocks_return(engine);
}

TEST("engine: resetting the prefix cache while requests run changes nothing for them") {
  const auto model = tiny_model();
  const Request request = make_request(1, random_tokens(1, 40), 60, 8);
  Engine untouched(model, small_cache());
  const Outcome expected = run_one(untouched, request);
  Engine engine(model, small_cache(8));
  Outcomes outcomes;
  engine.submit(request);
  for (int i = 0; engine.has_work(); ++i) {
    if (i % 7 == 3) engine.reset_prefix_cache();
    step(engine, outcomes);
  }
  check_same(outcomes.at({1, 0}), expected);
  check_all_blocks_return(engine);
}

TEST("engine: counts what it did") {
  Engine engine(tiny_model(), small_cache(64));
  CHECK_EQ(engine.stats().total_blocks, int64_t{64});
  const auto prompt = random_tokens(1, 40);
  Outcomes outcomes;
  engine.submit(make_request(1, prompt, 10));
  CHECK_EQ(engine.stats().waiting, int64_t{1});
  step(engine, outcomes);
  CHECK_EQ(engine.stats().running, int64_t{1});
  CHECK_EQ(engine.stats().free_blocks, int64_t{61});
  while (engine.has_work()) step(engine, outcomes);
  run(engine, {make_request(2, prompt, 4, 9)});
  const EngineStats stats = engine.stats();
  CHECK_EQ(stats.prompt_tokens, uint64_t{80});
  CHECK_EQ(stats.prefill_tokens, uint64_t{41});
  CHECK_EQ(stats.prefix_hit_tokens, uint64_t{39});
  CHECK_EQ(stats.generated_tokens, uint64_t{14});
  CHECK_EQ(stats.preemptions, uint64_t{0});
  CHECK_EQ(stats.running + stats.waiting, int64_t{0});
}

TEST("engine: refuses what can never run, with the numbers and the setting") {
  const auto model = tiny_model();
  EngineConfig config = small_cache(8);
  config.max_context = 200;
  Engine engine(model, config);
  const auto prompt = random_tokens(1, 10);
  CHECK_ERROR(engine.submit(make_request(1, {}, 5)), "at least 1 token for `prompt`");
  CHECK_ERROR(engine.submit(make_request(1, {1, 61}, 5)), "[0, 61) for `prompt` but received 61");
  CHECK_ERROR(engine.submit(make_request(1, {-1}, 5)), "received -1");
  CHECK_ERROR(engine.submit(make_request(1, random_tokens(1, 200), 5)), "prompt of 200 tokens");
  CHECK_ERROR(engine.submit(make_request(1, random_tokens(1, 200), 5)), "`max_context` 200");
  CHECK_ERROR(engine.submit(make_request(1, prompt, 150)), "needs 10 blocks, the cache has 8: raise `kv_bytes`");
  CHECK_ERROR(engine.submit(make_request(1, prompt, 0)), "`max_tokens` but received 0");
  const auto refused = [&](auto change, const char* part) {
    Request request = make_request(1, prompt, 5);
    change(request);
    CHECK_ERROR(engine.submit(request), part);
  };
  refused([](Request& r) { r.choices = 0; }, "`choices` but received 0");
  refused([](Request& r) { r.sampling.temperature = -0.5F; }, "`temperature` but received -0.5");
  refused([](Request& r) { r.sampling.temperature = std::numeric_limits<float>::quiet_NaN(); }, "`temperature`");
  refused([](Request& r) { r.sampling.top_p = 0; }, "(0, 1] for `top_p`");
  refused([](Request& r) { r.sampling.min_p = 1; }, "[0, 1) for `min_p`");
  refused([](Request& r) { r.sampling.top_k = -1; }, "`top_k` but received -1");
  refused([](Request& r) { r.sampling.top_logprobs = 21; }, "`top_logprobs` but received 21");
  CHECK(!engine.has_work());
  engine.submit(make_request(1, prompt, 119));  // exactly 8 blocks: the last token's KV is never needed
  CHECK_ERROR(engine.submit(make_request(1, prompt, 5)), "unused `id` but received 1");
  Outcomes outcomes;
  while (engine.has_work()) step(engine, outcomes);
  CHECK_EQ(outcomes.at({1, 0}).tokens.size(), size_t{119});
}

TEST("engine: fills in what the configuration leaves open") {
  const auto model = tiny_model();
  const ModelConfig& shape = model->config();
  EngineConfig config;
  config.kv_bytes = 1 << 20;
  const EngineConfig resolved = Engine(model, config).config();
  const auto bytes = [&](int64_t blocks) {
    return static_cast<int64_t>(model->backend()->kv_cache_bytes(blocks, shape.layers, shape.kv_heads, shape.head_dim));
  };
  CHECK_LE(bytes(resolved.kv_blocks), int64_t{1} << 20);
  CHECK(bytes(resolved.kv_blocks + 1) > int64_t{1} << 20);
  CHECK_EQ(resolved.max_context, 512);
  // Without a context of its own, an engine takes what its cache can hold.
  CHECK_EQ(Engine(model, small_cache(5)).config().max_context, 80);

  config.kv_bytes = 10;
  CHECK_ERROR(Engine(model, config), "`kv_bytes` but received 10");
  config = small_cache();
  config.max_context = 1000;
  CHECK_ERROR(Engine(model, config), "`max_context` but received 1000");
  config = small_cache();
  config.max_sequences = 0;
  CHECK_ERROR(Engine(model, config), "`max_sequences` but received 0");
  config = small_cache();
  config.max_batch_tokens = 0;
  CHECK_ERROR(Engine(model, config), "`max_batch_tokens` but received 0");
}

}  // namespace
}  // namespace ajet
