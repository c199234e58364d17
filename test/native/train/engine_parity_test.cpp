// The promise of one core: what the engine recorded while sampling is what the update computes, to the last bit.
#include "check.h"
#include "infer/engine.h"
#include "random_calls.h"
#include "tiny_model.h"
#include "train/trainer.h"

namespace ajet::test {
namespace {

// Runs all requests to their end, batched together, and appends one call per choice.
void sample(Engine& engine, std::vector<Request> requests, const std::vector<int32_t>& episodes,
            std::vector<OwnedCall>& calls) {
  const size_t first = calls.size();
  std::vector<size_t> first_call;
  for (size_t r = 0; r < requests.size(); ++r) {
    requests[r].id = r;
    first_call.push_back(calls.size());
    for (int32_t choice = 0; choice < requests[r].choices; ++choice) {
      calls.push_back({episodes[r], requests[r].prompt, {}, {}, {}, requests[r].sampling.temperature});
    }
    engine.submit(requests[r]);
  }
  std::vector<TokenEvent> events;
  while (engine.has_work()) engine.step(events);
  for (const TokenEvent& event : events) {
    CHECK(event.finish != FinishReason::error && event.finish != FinishReason::cancelled);
    if (event.token < 0) continue;
    OwnedCall& call = calls[first_call[event.request] + static_cast<size_t>(event.choice)];
    call.sampled.push_back(event.token);
    call.logprobs.push_back(event.logprob);
  }
  for (size_t i = first; i < calls.size(); ++i) CHECK(!calls[i].sampled.empty());
}

Request request(const std::vector<int32_t>& prompt, uint64_t seed, float temperature, int32_t choices) {
  Request out;
  out.prompt = prompt;
  out.choices = choices;
  out.sampling.temperature = temperature;
  out.sampling.seed = seed;
  out.sampling.max_tokens = 5 + static_cast<int32_t>(seed % 20);
  return out;
}

// Two turns of several episodes under one system prompt: the second turn continues the first from the prefix tree.
std::vector<OwnedCall> sample_episodes(const std::shared_ptr<Model>& model, int32_t max_batch_tokens) {
  EngineConfig config;
  config.kv_bytes = 4 << 20;
  config.max_batch_tokens = max_batch_tokens;
  Engine engine(model, config);
  Random random(17);
  const auto system = random.tokens(37, 13);
  std::vector<Request> requests;
  std::vector<int32_t> episodes;
  for (int32_t episode = 0; episode < 6; ++episode) {
    std::vector<int32_t> prompt = system;
    const auto question = random.tokens(1 + episode / 2, 13);
    prompt.insert(prompt.end(), question.begin(), question.end());
    const float temperature = episode % 3 == 0 ? 1.0F : (episode % 3 == 1 ? 0.7F : 0.0F);
    requests.push_back(request(prompt, 100 + static_cast<uint64_t>(episode), temperature, 1 + episode % 2));
    episodes.push_back(episode);
  }
  std::vector<OwnedCall> calls;
  sample(engine, requests, episodes, calls);
  const std::vector<OwnedCall> first_turn = calls;
  requests.clear();
  episodes.clear();
  for (const OwnedCall& call : first_turn) {
    std::vector<int32_t> prompt = call.sequence();
    const auto result = random.tokens(4, 13);
    prompt.insert(prompt.end(), result.begin(), result.end());
    requests.push_back(request(prompt, 200 + requests.size(), call.temperature, 1));
    episodes.push_back(call.episode);
  }
  sample(engine, requests, episodes, calls);
  return calls;
}

StepStats update(const std::shared_ptr<Model>& model, const std::vector<OwnedCall>& calls, int64_t max_batch_tokens) {
  TrainerConfig config;
  config.max_batch_tokens = max_batch_tokens;
  config.head_scratch_bytes = 7 * 13 * 4;
  Trainer trainer(model, config);
  StepBatch batch;
  batch.calls = views(calls);
  batch.rewards = {1.0, 0.0, 0.5, 1.0, 0.25, 0.0};
  batch.groups = {0, 0, 1, 1, 2, 2};
  return trainer.step(batch, loss_preset("ajet"));
}

}  // namespace

TEST("engine and trainer: log-probs sampled by the engine are the update's own, to the last bit") {
  for (const int32_t engine_tokens : {16, 512}) {
    for (const int64_t trainer_tokens : {int64_t{90}, int64_t{4096}}) {
      if (emulated_device && (engine_tokens == 16 || trainer_tokens == 4096)) continue;  // an emulator is slow
      auto model = tiny_model(31, true, 1 + engine_tokens / 512);
      const auto calls = sample_episodes(model, engine_tokens);
      const StepStats stats = update(model, calls, trainer_tokens);
      CHECK(stats.updated && stats.logprobs_compared == stats.entries && stats.entries > 100);
      CHECK(trainer_tokens > 100 || stats.micro_batches > 2);
      CHECK_EQ(stats.logprob_max_abs_diff, 0.0);
    }
  }
}

TEST("engine and trainer: one weight flipped between sampling and the update is seen") {
  auto model = tiny_model(31);
  const auto calls = sample_episodes(model, 512);
  const ParameterSlice& slice = model->weights().layout().slices.back();
  std::vector<float> values;
  model->weights().read(slice, values);
  values[3] = -values[3];
  model->weights().write(slice, values.data());
  CHECK(update(model, calls, 4096).logprob_max_abs_diff > 0.0);
}

}  // namespace ajet::test
