// Generation by the engine: one request, and many of different lengths at once.
#include <algorithm>
#include <string>
#include <vector>

#include "exchange.h"
#include "figure.h"
#include "infer/engine.h"
#include "measure.h"
#include "random_ids.h"
#include "shapes.h"
#include "work.h"

namespace ajet::bench {
namespace {

// Of one request.
struct Lengths {
  int64_t prompt, response;
};

Request make_request(uint64_t id, const Lengths& lengths, int64_t vocab_size, float temperature) {
  Request request;
  request.id = id;
  request.prompt = random_ids(id + 1, lengths.prompt, vocab_size);
  request.sampling.max_tokens = static_cast<int32_t>(lengths.response);
  request.sampling.temperature = temperature;
  request.sampling.seed = id;
  return request;
}

EngineConfig engine_config(const std::vector<Lengths>& requests, int64_t batch_tokens) {
  EngineConfig config;
  config.max_sequences = static_cast<int32_t>(requests.size());
  config.max_batch_tokens = static_cast<int32_t>(batch_tokens);
  for (const Lengths& lengths : requests) config.kv_blocks += (lengths.prompt + lengths.response) / kv_block_tokens + 2;
  return config;
}

// The fewest bytes: a pass reads the weights once, and for each token that it appends the keys and values before it.
// Every pass has a token of each request that still runs, so that there are as many as the longest response has.
double least_bytes(const Model& model, const std::vector<Lengths>& requests) {
  const double kv = kv_bytes_per_token(model.config(), dtype_bytes(model.backend()->compute_dtype()));
  double cached = 0, passes = 0;
  for (const auto& [prompt, response] : requests) {
    const auto p = static_cast<double>(prompt), r = static_cast<double>(response);
    cached += r * p + r * (r - 1) / 2;
    passes = std::max(passes, r);
  }
  return passes * static_cast<double>(model.weight_bytes()) + kv * cached;
}

// One request's steps of decoding, the first token's apart: that one is the prompt's pass.
void measure_single(Bench& bench, const std::string& name, bool first) {
  const auto backend = bench.backend();
  const ModelConfig shape = model_shape(name);
  const auto model = Model::random(backend, shape, 1);
  const Lengths lengths{bench.pick<int64_t>(512, 16), bench.pick<int64_t>(512, 24)};
  Engine engine(model, engine_config({lengths}, lengths.prompt));
  std::vector<TokenEvent> events;
  // A round's seconds a step.
  const auto round = [&](float temperature) {
    events.clear();
    engine.reset_prefix_cache();
    engine.submit(make_request(0, lengths, shape.vocab_size, temperature));
    while (events.empty()) engine.step(events);
    const Stopwatch watch;
    while (engine.has_work()) engine.step(events);
    return watch.seconds() / static_cast<double>(lengths.response - 1);
  };
  round(1.0F);
  std::vector<double> seconds;
  const Stopwatch watch;
  while (seconds.size() < 5 || watch.seconds() < bench.options().seconds) seconds.push_back(round(1.0F));
  const double all = least_bytes(*model, {{lengths.prompt + 1, lengths.response - 1}});
  const std::string text =
      name + ", 1 x (" + std::to_string(lengths.prompt) + " + " + std::to_string(lengths.response) + ")";
  bench.report({.figure = "decode",
                .name = text,
                .times = times_of(std::move(seconds)),
                .bytes = all / static_cast<double>(lengths.response - 1),
                .tokens = 1,
                .more = {{"weight_bytes", static_cast<int64_t>(model->weight_bytes())}}});
  if (bench.options().exchange.empty()) return;
  round(0.0F);  // greedy: the twin can find the same tokens
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  for (const TokenEvent& event : events) tokens.push_back(event.token), logprobs.push_back(event.logprob);
  exchange_model(bench.options().exchange, name, *model);
  exchange_inputs(bench.options().exchange, "decode", first,
                  Json::Object{{"model", name},
                               {"name", text},
                               {"prompts", Json::Array{json_array(random_ids(1, lengths.prompt, shape.vocab_size))}},
                               {"lengths", Json::Array{lengths.response}},
                               {"greedy", json_array(tokens)},
                               {"logprobs", json_array(logprobs)}});
}

// All requests submitted at once, to the end of the last one.
void measure_many(Bench& bench, const std::string& name) {
  const auto backend = bench.backend();
  const ModelConfig shape = model_shape(name);
  const auto model = Model::random(backend, shape, 1);
  const int64_t count = bench.pick<int64_t>(256, 6), least = bench.pick<int64_t>(100, 4),
                most = bench.pick<int64_t>(1024, 20);
  std::vector<Lengths> requests;
  double generated = 0;
  for (uint64_t id = 0; id < static_cast<uint64_t>(count); ++id) {
    requests.push_back({random_length(101, id, least, most), random_length(102, id, least, most)});
    generated += static_cast<double>(requests.back().response);
  }
  Engine engine(model, engine_config(requests, bench.pick<int64_t>(4096, 64)));
  std::vector<TokenEvent> events;
  const auto submit = [&] {
    engine.reset_prefix_cache();
    events.clear();
    for (size_t id = 0; id < requests.size(); ++id)
      engine.submit(make_request(id, requests[id], shape.vocab_size, 1.0F));
  };
  submit();  // warm-up
  for (int i = 0; i < 50 && engine.has_work(); ++i) engine.step(events);
  engine.cancel_all();
  while (engine.has_work()) engine.step(events);
  std::vector<double> seconds;
  for (int i = 0; i < bench.pick(2, 3); ++i) {
    const Stopwatch watch;
    submit();
    while (engine.has_work()) engine.step(events);
    seconds.push_back(watch.seconds());
  }
  const std::string text = name + ", " + std::to_string(count) + " x (" + std::to_string(least) + " to " +
                           std::to_string(most) + " + " + std::to_string(least) + " to " + std::to_string(most) + ")";
  bench.report({.figure = "decode",
                .name = text,
                .times = times_of(std::move(seconds)),
                .bytes = least_bytes(*model, requests),
                .tokens = generated,
                .more = {{"peak_bytes", static_cast<int64_t>(backend->memory().peak_bytes)}}});
  Json::Array prompts, lengths;
  for (size_t id = 0; id < requests.size(); ++id) {
    prompts.push_back(json_array(random_ids(id + 1, requests[id].prompt, shape.vocab_size)));
    lengths.emplace_back(requests[id].response);
  }
  exchange_inputs(bench.options().exchange, "decode", false,
                  Json::Object{{"model", name}, {"name", text}, {"prompts", prompts}, {"lengths", lengths}});
}

}  // namespace

void measure_decode(Bench& bench) {
  auto models = bench.pick<std::vector<std::string>>({"qwen3-0.6b", "qwen2.5-1.5b"}, {"small-qwen3", "small-qwen2"});
  if (!bench.options().models.empty()) models = bench.options().models;
  for (const std::string& model : models) measure_single(bench, model, model == models.front());
  measure_many(bench, models.front());
}

}  // namespace ajet::bench
