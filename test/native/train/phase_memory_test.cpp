// An engine and a trainer of one model lend each other memory. Whatever is lost that way is computed again, to the bit.
#include "model/phase_memory.h"

#include <algorithm>
#include <utility>

#include "check.h"
#include "infer/engine.h"
#include "step_fixture.h"

namespace ajet::test {
namespace {

// An emulator is slow.
constexpr uint64_t requests = emulated_device ? 1 : 4, rounds = emulated_device ? 1 : 2;

std::unique_ptr<RecordedStep> small_step(Trainer& trainer) {
  return emulated_device ? recorded_step(trainer, 9, smallest_step) : recorded_step(trainer, 9);
}

struct Sampled {
  uint64_t request;
  int32_t choice, token;
  float logprob;
  uint64_t version;
  bool operator==(const Sampled&) const = default;
};

// Everything that a run of engine and trainer computes.
struct Record {
  std::vector<Sampled> sampled;
  std::vector<float> scores, weights;
  std::vector<double> losses;
  bool operator==(const Record&) const = default;
};

EngineConfig engine_config(int64_t kv_blocks) {
  EngineConfig config;
  config.kv_blocks = kv_blocks;
  config.max_batch_tokens = 16;
  return config;
}

void submit(Engine& engine, uint64_t first_id) {
  Random random(5);
  const auto system = random.tokens(21, 13);
  for (uint64_t i = 0; i < requests; ++i) {
    Request request;
    request.id = first_id + i;
    request.prompt = system;
    const auto question = random.tokens(3 + static_cast<int32_t>(i), 13);
    request.prompt.insert(request.prompt.end(), question.begin(), question.end());
    request.choices = 2;
    request.sampling.max_tokens = 12 + static_cast<int32_t>(i);
    request.sampling.seed = i;
    engine.submit(request);
  }
}

// Rollouts with a scoring pass, an evaluation and updates among them, requests in flight across each. What was in
// flight across the first two has ended before the weights change: how many tokens a step samples may depend on what
// is cached. between() is called before and after every change of who computes.
template <typename Between>
Record run(Setup& setup, Engine& engine, const Between& between) {
  Record record;
  std::vector<TokenEvent> events;
  const auto steps = [&](int count) {
    between();
    for (int i = 0; i < count; ++i) engine.step(events);
    CHECK(engine.has_work());
    between();
  };
  const auto finish = [&] {
    between();
    while (engine.has_work()) engine.step(events);
    engine.reset_prefix_cache();
    between();
  };
  const auto step = small_step(setup.trainer);
  for (uint64_t round = 0; round < rounds; ++round) {
    submit(engine, 100 * round);
    steps(9);
    std::vector<float> logprobs, entropies;
    setup.trainer.score(step->batch.calls, false, logprobs, entropies);
    record.scores.insert(record.scores.end(), logprobs.begin(), logprobs.end());
    steps(3);
    step->batch.evaluate_only = true;
    record.losses.push_back(setup.trainer.step(step->batch, loss_preset("ajet")).loss);
    finish();
    submit(engine, 100 * round + 50);
    steps(9);
    step->batch.evaluate_only = false;
    record.losses.push_back(setup.trainer.step(step->batch, loss_preset("ajet")).loss);
    const auto gradients = arena_values(setup.trainer.gradients());
    record.weights.insert(record.weights.end(), gradients.begin(), gradients.end());
    finish();
  }
  for (const TokenEvent& event : events)
    record.sampled.push_back({event.request, event.choice, event.token, event.logprob, event.version});
  // Which request is the next to run may differ; what each samples may not.
  std::ranges::stable_sort(record.sampled, {}, [](const Sampled& s) { return std::pair(s.request, s.choice); });
  const auto weights = arena_values(setup.model->weights());
  record.weights.insert(record.weights.end(), weights.begin(), weights.end());
  return record;
}

// As with memory of its own: an engine that is not the model's first has that.
Record run_apart() {
  Setup setup(3);
  Engine first(setup.model, engine_config(1));
  Engine engine(setup.model, engine_config(64));
  const Record record = run(setup, engine, [] {});
  CHECK(engine.stats().prefill_tokens > 0);
  return record;
}

}  // namespace

TEST("phase memory: what engine and trainer compute has the same bits as with memory of their own") {
  const Record apart = run_apart();
  CHECK(!apart.sampled.empty() && apart.sampled.front().version < apart.sampled.back().version);
  // A cache larger than an update's tensors, and one that the memory must grow beyond.
  for (const int64_t kv_blocks : {4096, 64}) {
    if (emulated_device && kv_blocks == 4096) continue;
    Setup setup(3);
    Engine engine(setup.model, engine_config(kv_blocks));
    CHECK(run(setup, engine, [] {}) == apart);
  }
}

TEST("phase memory: nothing is read that its user has not written") {
  const Record apart = run_apart();
  Setup setup(3);
  Engine engine(setup.model, engine_config(64));
  PhaseMemory& memory = setup.model->phase_memory();
  const Record spoilt = run(setup, engine, [&] {
    const std::vector<unsigned char> nans(memory.bytes(), 0xFF);
    setup.model->backend()->upload(memory.take(&nans, nans.size()), nans.data(), nans.size());
  });
  CHECK(spoilt == apart);
}

TEST("phase memory: an update takes no more than the cache that it takes the place of") {
  Setup setup(3);
  Backend& backend = *setup.model->backend();
  const auto step = small_step(setup.trainer);
  setup.trainer.step(step->batch, loss_preset("ajet"));
  const size_t alone = backend.memory().buffer_bytes, needed = setup.model->phase_memory().bytes();
  CHECK(needed > 0);
  Engine engine(setup.model, engine_config(4096));
  const size_t together = backend.memory().buffer_bytes, lent = setup.model->phase_memory().bytes();
  CHECK(lent > needed);
  setup.trainer.step(step->batch, loss_preset("ajet"));
  CHECK_EQ(backend.memory().buffer_bytes, together);
  CHECK(together - alone < lent);  // without sharing it would be more than the whole cache
}

TEST("phase memory: it grows by freeing first, and goes with its last user") {
  auto model = tiny_model(1);
  Backend& backend = *model->backend();
  PhaseMemory& memory = model->phase_memory();
  const size_t before = backend.memory().buffer_bytes;
  const int one = 0, other = 0;
  memory.take(&one, 1 << 20);
  CHECK(memory.held_by(&one) && !memory.held_by(&other));
  memory.take(&other, 1 << 10);
  CHECK(memory.held_by(&other) && memory.bytes() == 1 << 20);
  memory.take(&one, 3 << 20);
  CHECK_EQ(backend.memory().buffer_bytes, before + (3 << 20));
  CHECK_EQ(backend.memory().peak_bytes, backend.memory().active_bytes);
  memory.leave(&other);
  CHECK(memory.held_by(&one));
  CHECK_ERROR(memory.take(&other, SIZE_MAX / 2), "allocate");
  CHECK(!memory.held_by(&one) && !memory.held_by(&other) && memory.bytes() == 0);
  memory.take(&one, 1 << 20);
  memory.leave(&one);
  CHECK_EQ(backend.memory().buffer_bytes, before);
}

TEST("phase memory: engine and trainer give it back") {
  auto model = tiny_model(1);
  const size_t before = model->backend()->memory().buffer_bytes;
  {
    Trainer trainer(model, small_batches(1e-2));
    const auto step = small_step(trainer);
    Engine engine(model, engine_config(64));
    trainer.step(step->batch, loss_preset("ajet"));
  }
  CHECK_EQ(model->phase_memory().bytes(), 0U);
  Engine again(model, engine_config(64));
  CHECK(model->phase_memory().bytes() > 0);
  CHECK(model->backend()->memory().buffer_bytes > before);
}

TEST("phase memory: an update that there is no memory for changes nothing, and others follow") {
  const auto limited_model = [](size_t limit) {
    return Model::random(make_cpu_backend(1, "", limit), tiny_config(), 3);
  };
  auto unlimited = limited_model(0);
  Trainer first(unlimited, small_batches(1e-2));
  const Engine beside(unlimited, engine_config(8));
  const auto step = recorded_step(first, 9);
  first.step(step->batch, loss_preset("ajet"));
  const size_t needed = unlimited->backend()->memory().buffer_bytes;

  auto model = limited_model(needed - 1);
  TrainerConfig config = small_batches(1e-2);
  config.recompute = Recompute::none;
  Trainer trainer(model, config);
  Engine engine(model, engine_config(8));
  const auto before = arena_values(model->weights());
  const uint64_t version = model->version();
  CHECK_ERROR(trainer.step(step->batch, loss_preset("ajet")), "the limit is " + std::to_string(needed - 1));
  CHECK(arena_values(model->weights()) == before);
  CHECK(model->version() == version && trainer.steps_done() == 0);

  Request request;
  request.prompt = {1, 2, 3};
  request.sampling.max_tokens = 4;
  engine.submit(request);
  std::vector<TokenEvent> events;
  while (engine.has_work()) engine.step(events);
  CHECK_EQ(events.size(), size_t{4});
  StepBatch small;
  small.calls = {step->batch.calls.front()};
  small.advantages.assign(step->batch.rewards.size(), 1.0);
  CHECK(trainer.step(small, loss_preset("ajet")).updated);
}

TEST("phase memory: gradients are read before somebody else has their memory") {
  Setup setup(3);
  const auto step = small_step(setup.trainer);
  CHECK_ERROR(setup.trainer.gradients(), "gradients");
  setup.trainer.step(step->batch, loss_preset("ajet"));
  CHECK(!arena_values(setup.trainer.gradients()).empty());
  Engine engine(setup.model, engine_config(64));
  CHECK_ERROR(setup.trainer.gradients(), "gradients");
}

TEST("phase memory: of two engines that step in turn, each keeps its cache") {
  auto model = tiny_model(1);
  Engine one(model, engine_config(64)), two(model, engine_config(64));
  submit(one, 0);
  submit(two, 0);
  std::vector<TokenEvent> events, other;
  while (one.has_work() || two.has_work()) {
    one.step(events);
    two.step(other);
  }
  CHECK(!events.empty() && events.size() == other.size());
  CHECK_EQ(one.stats().prefill_tokens, two.stats().prefill_tokens);
}

}  // namespace ajet::test
