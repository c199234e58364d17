// Random call sets that look like a step's: tasks under one system prompt, repeated episodes, several agents, turns
// that continue a timeline, rewrite it or repeat it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/rng.h"
#include "train/token_tree.h"

namespace ajet::test {

class Random {
 public:
  explicit Random(uint64_t seed) : seed_(seed) {}
  // In [low, high].
  int32_t integer(int32_t low, int32_t high) {
    return low + static_cast<int32_t>(uniform() * static_cast<double>(high - low + 1));
  }
  double uniform() { return uniform_double(seed_, counter_++, 0x7265); }
  bool chance(double probability) { return uniform() < probability; }
  std::vector<int32_t> tokens(int32_t count, int32_t vocab) {
    std::vector<int32_t> out(static_cast<size_t>(count));
    for (int32_t& token : out) token = integer(0, vocab - 1);
    return out;
  }

 private:
  uint64_t seed_, counter_ = 0;
};

struct OwnedCall {
  int32_t episode = 0;
  std::vector<int32_t> prompt, sampled;
  std::vector<float> logprobs;
  std::vector<uint8_t> mask;
  float temperature = 1.0F;

  CallChoice view() const { return {episode, prompt, sampled, logprobs, temperature, mask}; }
  std::vector<int32_t> sequence() const {
    std::vector<int32_t> all = prompt;
    all.insert(all.end(), sampled.begin(), sampled.end());
    return all;
  }
};

inline std::vector<CallChoice> views(const std::vector<OwnedCall>& calls) {
  std::vector<CallChoice> out;
  for (const OwnedCall& call : calls) out.push_back(call.view());
  return out;
}

struct RandomStep {
  std::vector<OwnedCall> calls;
  std::vector<int32_t> groups;  // [episodes]
};

struct RandomStepShape {
  int32_t tasks = 3, repeats = 3, agents = 2, turns = 3;
  int32_t vocab = 5;  // few ids, so that sampled tokens often agree
  int32_t longest = 6;
  bool masks = true;
  bool temperatures = true;
};

inline OwnedCall random_call(Random& random, const RandomStepShape& shape, int32_t episode,
                             const std::vector<int32_t>& prompt) {
  OwnedCall call{.episode = episode, .prompt = prompt, .sampled = {}, .logprobs = {}, .mask = {}};
  call.sampled = random.tokens(random.integer(random.chance(0.1) ? 0 : 1, shape.longest), shape.vocab);
  for (size_t i = 0; i < call.sampled.size(); ++i) call.logprobs.push_back(static_cast<float>(-3.0 * random.uniform()));
  if (shape.masks && random.chance(0.3)) {
    for (size_t i = 0; i < call.sampled.size(); ++i) call.mask.push_back(random.chance(0.6) ? 1 : 0);
  }
  if (shape.temperatures && random.chance(0.3)) call.temperature = random.chance(0.5) ? 0.0F : 0.7F;
  return call;
}

inline void add_episode(Random& random, const RandomStepShape& shape, int32_t episode,
                        const std::vector<int32_t>& task_prompt, std::vector<OwnedCall>& calls) {
  const int32_t agents = random.integer(1, shape.agents);
  for (int32_t agent = 0; agent < agents; ++agent) {
    std::vector<int32_t> context = task_prompt;
    if (agent > 0) context = random.tokens(random.integer(1, shape.longest), shape.vocab);
    const int32_t turns = random.integer(1, shape.turns);
    for (int32_t turn = 0; turn < turns; ++turn) {
      const OwnedCall call = random_call(random, shape, episode, context);
      calls.push_back(call);
      if (random.chance(0.2)) calls.push_back(call);                                          // a duplicate choice
      if (random.chance(0.2)) calls.push_back(random_call(random, shape, episode, context));  // n = 2
      context = call.sequence();
      if (random.chance(0.15))
        context[static_cast<size_t>(random.integer(0, static_cast<int32_t>(context.size()) - 1))] = 0;
      if (random.chance(0.15))
        context.resize(static_cast<size_t>(random.integer(1, static_cast<int32_t>(context.size()))));
      const auto tool = random.tokens(random.integer(0, 3), shape.vocab);
      context.insert(context.end(), tool.begin(), tool.end());
    }
  }
}

inline RandomStep random_step(uint64_t seed, const RandomStepShape& shape) {
  Random random(seed);
  RandomStep step;
  const auto system = random.tokens(random.integer(1, 2 * shape.longest), shape.vocab);
  for (int32_t task = 0; task < shape.tasks; ++task) {
    std::vector<int32_t> prompt = random.chance(0.8) ? system : std::vector<int32_t>{};
    const auto question = random.tokens(random.integer(1, shape.longest), shape.vocab);
    prompt.insert(prompt.end(), question.begin(), question.end());
    for (int32_t repeat = 0; repeat < shape.repeats; ++repeat) {
      add_episode(random, shape, static_cast<int32_t>(step.groups.size()), prompt, step.calls);
      step.groups.push_back(task);
    }
  }
  return step;
}

}  // namespace ajet::test
