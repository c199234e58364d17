// Segments of a path: what they are, what the trainer counts, and that they bound its memory.
#include "train/part_segments.h"

#include <algorithm>

#include "base/error.h"
#include "check.h"
#include "step_fixture.h"

namespace ajet::test {
namespace {

// One episode with a single call: a path of `rows` rows that entries need.
OwnedCall long_call(int32_t rows, int32_t prompt = 3) {
  Random random(static_cast<uint64_t>(rows));
  OwnedCall call{.episode = 0, .prompt = random.tokens(prompt, 13), .sampled = {}, .logprobs = {}, .mask = {}};
  call.sampled = random.tokens(rows + 1 - prompt, 13);
  call.logprobs.assign(call.sampled.size(), -2.0F);
  return call;
}

StepBatch batch_of(const OwnedCall& call) {
  StepBatch batch;
  batch.calls = {call.view()};
  batch.advantages = {1.0};
  return batch;
}

TrainerConfig with_budget(int64_t max_batch_tokens) {
  TrainerConfig config = small_batches(1e-2);
  config.max_batch_tokens = max_batch_tokens;
  return config;
}

// A model in which a row's activations are far larger than its keys and values.
std::shared_ptr<Model> wide_model() {
  ModelConfig config = tiny_config();
  config.hidden_size = 64;
  config.intermediate_size = 512;
  config.layers = 4;
  config.max_position_embeddings = 4096;
  return Model::random(make_cpu_backend(1), config, 1);
}

size_t peak_bytes(const char* preset, int32_t rows, int64_t max_batch_tokens) {
  const auto model = wide_model();
  Trainer trainer(model, with_budget(max_batch_tokens));
  const OwnedCall call = long_call(rows);
  CHECK(trainer.step(batch_of(call), loss_preset(preset)).updated);
  return model->backend()->memory().peak_bytes;
}

}  // namespace

TEST("part segments: each row and each entry once, below the rows before it, within the budget") {
  const OwnedCall call = long_call(50, 20);
  const std::vector<CallChoice> calls{call.view()};
  const TokenTree tree = build_token_tree(calls);
  const std::vector<TreePart> parts = cut_tree(tree, 1);
  CHECK_EQ(parts.size(), 1U);
  const TreePart& part = parts.front();
  for (int64_t budget = 1; budget <= 51; ++budget) {
    const std::vector<PartSegment> segments = cut_part(part, budget);
    CHECK_EQ(segments.size(), static_cast<size_t>((50 + budget - 1) / budget));
    int64_t next = 0;
    std::vector<int32_t> entries;
    for (const PartSegment& segment : segments) {
      const auto rows = static_cast<int64_t>(segment.tokens.size());
      CHECK_EQ(segment.first_row, next);
      CHECK(rows >= 1 && rows <= budget && (next == 0 || rows == budget));
      CHECK_EQ(segment.whole(), segments.size() == 1);
      CHECK(std::equal(segment.tokens.begin(), segment.tokens.end(), part.tokens.begin() + next));
      next += rows;
      const TreeLayout layout = segment.layout();
      CHECK_EQ(layout.context_tokens, segment.first_row);
      CHECK_EQ(layout.max_position, next);
      CHECK(std::equal(layout.positions.begin(), layout.positions.end(), part.positions.begin(),
                       part.positions.begin() + next));
      CHECK_EQ(layout.nodes.back().first_token + layout.nodes.back().tokens, next);
      for (size_t i = 0; i < segment.entry_index.size(); ++i) {
        entries.push_back(segment.entry_index[i]);
        CHECK(segment.parent_token[i] >= segment.first_row && segment.parent_token[i] < next);
      }
    }
    CHECK_EQ(next, 50);
    CHECK(entries == part.entry_index);
  }
}

TEST("part segments: a part with branches is not cut within") {
  std::vector<OwnedCall> calls;
  for (int32_t i = 0; i < 2; ++i)
    calls.push_back({.episode = i, .prompt = {1, 2}, .sampled = {3 + i, 5, 6}, .logprobs = {-1, -1, -1}, .mask = {}});
  const TokenTree tree = build_token_tree(views(calls));
  const std::vector<TreePart> parts = cut_tree(tree, 100);
  CHECK_EQ(parts.size(), 1U);
  CHECK_EQ(cut_part(parts.front(), 100).size(), 1U);
  CHECK_ERROR(cut_part(parts.front(), 3), "a part within it or without branches");
}

TEST("part segments: the trainer counts segments and the rows that are computed twice") {
  const OwnedCall call = long_call(50);
  for (const char* preset : {"trl-grpo", "gspo"}) {
    for (const int64_t budget : {1, 7, 25, 49, 50}) {
      Setup setup(3, with_budget(budget));
      StepBatch batch = batch_of(call);
      const StepStats stats = setup.trainer.step(batch, loss_preset(preset));
      CHECK_EQ(stats.micro_batches, (50 + budget - 1) / budget);
      CHECK_EQ(stats.tokens_trained, 50 + (50 - budget));  // with one part, GSPO's first pass is the segments' first
      batch.evaluate_only = true;
      CHECK_EQ(setup.trainer.step(batch, loss_preset(preset)).tokens_trained, 50);
    }
  }
}

TEST("part segments: log-probs scored in segments are those of the whole path, to the last bit") {
  const OwnedCall call = long_call(60);
  std::vector<float> expected, entropies;
  Setup whole(4, with_budget(4096));
  whole.trainer.score({call.view()}, false, expected, entropies);
  for (const int64_t budget : {1, 2, 13, 59}) {
    Setup cut(4, with_budget(budget), 2);
    std::vector<float> logprobs, cut_entropies;
    cut.trainer.score({call.view()}, false, logprobs, cut_entropies);
    CHECK(logprobs == expected);
    CHECK(cut_entropies == entropies);
  }
}

TEST("part segments: a step that is stopped between any two of them leaves no trace") {
  const OwnedCall call = long_call(23);
  for (const char* preset : {"trl-grpo", "gspo"}) {
    Setup untouched(5, with_budget(4)), disturbed(5, with_budget(4));
    const auto before = arena_values(disturbed.model->weights());
    int stopped = 0;
    for (bool done = false; !done; stopped += done ? 0 : 1) {
      int left = stopped;
      try {
        disturbed.trainer.step(batch_of(call), loss_preset(preset), [&] { return left-- == 0; });
        done = true;
      } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::aborted);
        CHECK(arena_values(disturbed.model->weights()) == before);
      }
    }
    CHECK(stopped > 11);  // 6 segments, 5 of them computed twice, and their chunks
    CHECK(untouched.trainer.step(batch_of(call), loss_preset(preset)).updated);
    CHECK(arena_values(disturbed.model->weights()) == arena_values(untouched.model->weights()));
  }
}

TEST("part segments: a longer path leaves nothing behind for a shorter one") {
  TrainerConfig config = with_budget(5);
  config.optimizer.learning_rate = 0.0;
  const OwnedCall first = long_call(90), second = long_call(33);
  for (const char* preset : {"trl-grpo", "gspo"}) {
    Setup used(6, config), fresh(6, config);
    used.trainer.step(batch_of(first), loss_preset(preset));
    used.trainer.step(batch_of(second), loss_preset(preset));
    fresh.trainer.step(batch_of(second), loss_preset(preset));
    CHECK(arena_values(used.trainer.gradients()) == arena_values(fresh.trainer.gradients()));
  }
}

// Peak memory = what a path of one segment needs + keys, values and their gradients of the path + what attention lays
// out of one path and one head (padded keys, values and gradients).
TEST("part segments: memory is bounded by one segment and the path's keys and values") {
  constexpr int64_t segment = 32;
  const ModelConfig config = wide_model()->config();
  const auto row_bytes = static_cast<size_t>(4 * config.layers * config.kv_heads * config.head_dim) * sizeof(float);
  const size_t attention_row_bytes = 6 * 16 * sizeof(float);
  for (const char* preset : {"trl-grpo", "gspo"}) {
    const size_t one_segment = peak_bytes(preset, segment, segment);
    for (const int32_t rows : {512, 1024}) {
      const auto path = static_cast<size_t>(rows);
      const size_t cut = peak_bytes(preset, rows, segment), uncut = peak_bytes(preset, rows, 4096);
      CHECK_LE(cut - one_segment, path * (row_bytes + attention_row_bytes) + (size_t{64} << 10));
      CHECK(uncut - one_segment > 4 * (cut - one_segment));
    }
  }
}

}  // namespace ajet::test
