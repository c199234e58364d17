// Small random models, and what an engine made of its requests, per choice. AJET_TEST_PIPELINED=1 runs the suite with
// the next pass queued before the last one's tokens are here, as it is by itself on a CUDA device.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "check.h"
#include "infer/engine.h"
#include "test_backend.h"

namespace ajet::test {

inline ModelConfig tiny_config(const std::string& model_type) {
  ModelConfig config;
  config.model_type = model_type;
  config.vocab_size = 61;
  config.hidden_size = 32;
  config.intermediate_size = 40;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 8;
  config.max_position_embeddings = 512;
  config.tie_word_embeddings = true;
  config.qkv_bias = model_type == "qwen2";
  config.qk_norm = model_type == "qwen3";
  return config;
}

inline std::shared_ptr<Model> tiny_model(int threads = 2, const std::string& model_type = "qwen3", uint64_t seed = 1) {
  return Model::random(test_backend(threads), tiny_config(model_type), seed);
}

// Another model on the same device.
inline std::shared_ptr<Model> sibling(const Model& model, uint64_t seed) {
  return Model::random(model.backend(), model.config(), seed);
}

inline EngineConfig small_cache(int64_t kv_blocks = 512) {
  EngineConfig config;
  config.kv_blocks = kv_blocks;
  if (environment("AJET_TEST_PIPELINED", "") == "1") config.pipelined = true;
  return config;
}

inline std::vector<int32_t> random_tokens(uint64_t seed, int32_t count, int32_t vocab = 61) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = static_cast<int32_t>(philox4x32(seed, i)[0] % static_cast<uint32_t>(vocab));
  return tokens;
}

inline std::vector<int32_t> joined(std::vector<int32_t> a, const std::vector<int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Request make_request(uint64_t id, std::vector<int32_t> prompt, int32_t max_tokens, uint64_t seed = 0) {
  Request request;
  request.id = id;
  request.prompt = std::move(prompt);
  request.sampling.max_tokens = max_tokens;
  request.sampling.seed = seed;
  return request;
}

struct Outcome {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  std::vector<uint64_t> versions;
  std::vector<std::vector<int32_t>> top_tokens;
  std::vector<std::vector<float>> top_logprobs;
  FinishReason finish = FinishReason::none;
  int32_t cached_tokens = 0;
};

// By request and choice.
using Outcomes = std::map<std::pair<uint64_t, int32_t>, Outcome>;

// Every choice ends once, and nothing follows its end.
inline void collect(Outcomes& outcomes, const std::vector<TokenEvent>& events) {
  for (const TokenEvent& event : events) {
    Outcome& outcome = outcomes[{event.request, event.choice}];
    CHECK(outcome.finish == FinishReason::none);
    CHECK(event.token >= 0 || event.finish == FinishReason::cancelled);
    outcome.finish = event.finish;
    if (event.token < 0) continue;
    outcome.cached_tokens = event.cached_tokens;
    outcome.tokens.push_back(event.token);
    outcome.logprobs.push_back(event.logprob);
    outcome.versions.push_back(event.version);
    outcome.top_tokens.push_back(event.top_tokens);
    outcome.top_logprobs.push_back(event.top_logprobs);
  }
}

inline void step(Engine& engine, Outcomes& outcomes) {
  std::vector<TokenEvent> events;
  engine.step(events);
  collect(outcomes, events);
}

inline Outcomes run(Engine& engine, const std::vector<Request>& requests) {
  Outcomes outcomes;
  for (const Request& request : requests) engine.submit(request);
  for (int steps = 0; engine.has_work(); ++steps) {
    CHECK(steps < 100000);
    step(engine, outcomes);
  }
  for (const auto& [key, outcome] : outcomes) CHECK(outcome.finish != FinishReason::none);
  return outcomes;
}

inline Outcome run_one(Engine& engine, const Request& request) { return run(engine, {request}).at({request.id, 0}); }

// Tokens and log-probs to the last bit.
inline void check_same(const Outcome& actual, const Outcome& expected) {
  CHECK_EQ(actual.tokens.size(), expected.tokens.size());
  for (size_t i = 0; i < actual.tokens.size(); ++i) {
    CHECK_EQ(actual.tokens[i], expected.tokens[i]);
    CHECK_EQ(actual.logprobs[i], expected.logprobs[i]);
  }
  CHECK(actual.top_tokens == expected.top_tokens);
  CHECK(actual.top_logprobs == expected.top_logprobs);
  CHECK(actual.finish == expected.finish);
}

inline void check_same(const Outcomes& actual, const Outcomes& expected) {
  CHECK_EQ(actual.size(), expected.size());
  for (const auto& [key, outcome] : expected) check_same(actual.at(key), outcome);
}

inline void check_all_blocks_return(Engine& engine) {
  CHECK(!engine.has_work());
  engine.reset_prefix_cache();
  const EngineStats stats = engine.stats();
  CHECK_EQ(stats.free_blocks, stats.total_blocks);
  CHECK_EQ(stats.waiting + stats.running, int64_t{0});
}

}  // namespace ajet::test
