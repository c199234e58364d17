// The plan against what is really allocated: by model, engine and trainer, and by a step as large as planned.
#include "plan/memory_plan.h"

#include "backend/cuda/cuda_storage.h"
#include "check.h"
#include "infer/engine.h"
#include "model/phase_memory.h"
#include "qwen3.h"
#include "train/step_fixture.h"

namespace ajet::test {
namespace {

// Timelines without branches: one longer than a micro-batch, so that it is computed in segments.
std::vector<OwnedCall> long_calls(int32_t tokens) {
  Random random(4);
  std::vector<OwnedCall> calls;
  for (int32_t episode = 0; episode < 2; ++episode) {
    OwnedCall& call = calls.emplace_back();
    call.episode = episode;
    call.prompt = random.tokens(5, 13);
    call.sampled = random.tokens(episode == 0 ? tokens - 5 : 9, 13);
    call.logprobs.assign(call.sampled.size(), -2.0F);
  }
  return calls;
}

StepBatch batch_of(const std::vector<OwnedCall>& calls) {
  StepBatch batch;
  batch.calls = views(calls);
  batch.rewards = {1.0, 0.0};
  batch.groups = {0, 0};
  return batch;
}

size_t bytes_of(const MemoryPlan& plan, const std::string& name) {
  for (const PlannedMemory& entry : plan.entries)
    if (entry.name == name) return entry.bytes;
  throw Failure("the plan has no " + name);
}

constexpr size_t gib = size_t{1} << 30;

}  // namespace

TEST("memory plan: the bytes that model, engine and a step allocate are those of the plan") {
  constexpr int32_t timeline = 97;
  const auto calls = long_calls(timeline);
  for (const bool reference : {false, true}) {
    for (const int64_t kv_blocks : {3, 4096}) {  // the update needs more than the cache, and less
      auto model = tiny_model(3);
      const Backend& backend = *model->backend();
      MemoryDemand demand;
      demand.engine.kv_blocks = kv_blocks;
      demand.engine.max_batch_tokens = 16;
      demand.trainer = small_batches(1e-2);
      demand.trainer->reference = reference;
      // A timeline's last token predicts nothing: it is not computed.
      demand.pass = {.tokens = 40, .path_rows = timeline - 1, .head_rows = 5};
      const MemoryPlan plan = plan_memory(model->config(), backend, demand);
      CHECK_EQ(plan.sum(MemoryPhase::update) > plan.sum(MemoryPhase::rollout), kv_blocks == 3);

      Engine engine(model, demand.engine);
      Trainer trainer(model, *demand.trainer);
      LossConfig loss = loss_preset("ajet");
      if (reference) loss.kl = KlKind::k3;
      CHECK(trainer.step(batch_of(calls), loss).updated);
      Request request;
      request.prompt.assign(20, 1);
      request.sampling.max_tokens = 2;
      engine.submit(request);
      std::vector<TokenEvent> events;
      while (engine.has_work()) engine.step(events);
      CHECK_EQ(plan.kv_blocks, engine.stats().total_blocks);
      CHECK_EQ(backend.memory().buffer_bytes, plan.peak());
    }
  }
}

TEST("memory plan: the largest pass of a trainer is planned for") {
  TrainerConfig trainer;
  trainer.max_batch_tokens = 4096;
  const PassShape within = largest_pass(qwen3_0_6b(), trainer, 4096);
  const PassShape beyond = largest_pass(qwen3_0_6b(), trainer, 4097);
  CHECK_EQ(within.tokens, 4096);
  CHECK_EQ(within.path_rows, 0);
  CHECK_EQ(beyond.path_rows, 4097);
  CHECK_EQ(within.head_rows, trainer.head_scratch_bytes / (4 * qwen3_0_6b().vocab_size));
}

TEST("memory plan: a cache that fills the budget leaves less than a block") {
  const cuda::CudaStorage card(DType::bf16);
  MemoryDemand demand;
  demand.engine.kv_bytes = 0;
  demand.trainer = TrainerConfig{};
  demand.engine.max_context = 4096;
  demand.budget = 30 * gib;
  const MemoryPlan plan = plan_memory(qwen3_0_6b(), card, demand);
  const size_t block = card.kv_cache_bytes(1, 28, 8, 128);
  CHECK(plan.sum(MemoryPhase::rollout) > plan.sum(MemoryPhase::update));
  CHECK(plan.peak() <= demand.budget && plan.peak() + block > demand.budget);
  CHECK_EQ(plan.kv_bytes, static_cast<size_t>(plan.kv_blocks) * block);

  demand.engine.max_sequences = 4;  // which are all that can run
  demand.engine.max_context = 1000;
  CHECK_EQ(plan_memory(qwen3_0_6b(), card, demand).kv_blocks, 4 * 63);
  demand.budget = 1 * gib;
  CHECK_EQ(plan_memory(qwen3_0_6b(), card, demand).kv_blocks, 1);
}

TEST("memory plan: a card computes with a copy of half the bytes, a model alone has no moments") {
  MemoryDemand demand;
  const MemoryPlan plan = plan_memory(qwen3_0_6b(), cuda::CudaStorage(DType::bf16), demand);
  CHECK_EQ(bytes_of(plan, "weights"), 2 * bytes_of(plan, "weights in bfloat16"));
  CHECK_EQ(plan.sum(MemoryPhase::update), size_t{0});
  CHECK_ERROR(bytes_of(plan, "first moment"), "the plan has no");
  demand.trainer = TrainerConfig{};
  const MemoryPlan trained = plan_memory(qwen3_0_6b(), cuda::CudaStorage(DType::bf16), demand);
  CHECK_EQ(bytes_of(trained, "first moment"), bytes_of(plan, "weights"));
  CHECK_EQ(bytes_of(trained, "gradients"), bytes_of(plan, "weights"));
}

}  // namespace ajet::test
