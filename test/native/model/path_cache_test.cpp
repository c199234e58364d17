// A tree in segments, joined by a PathCache: the hidden states of the whole tree to the bit, and its gradients.
#include "model/path_cache.h"

#include <cstring>

#include "backend/random_tree.h"
#include "base/rng.h"
#include "check.h"
#include "model_fixtures.h"

namespace ajet::test {
namespace {

struct Batch {
  RandomTree tree;
  std::vector<int32_t> tokens;
  std::vector<float> dhidden;
};

Batch random_batch(uint64_t seed, const ModelConfig& config) {
  Batch batch{RandomTree::random(seed, 12, 9), {}, {}};
  for (int64_t row = 0; row < batch.tree.rows(); ++row) {
    const double draw = uniform_double(seed, static_cast<uint64_t>(row), 5);
    batch.tokens.push_back(static_cast<int32_t>(draw * static_cast<double>(config.vocab_size)));
  }
  for (int64_t i = 0; i < batch.tree.rows() * config.hidden_size; ++i)
    batch.dhidden.push_back(static_cast<float>(normal_double(seed, static_cast<uint64_t>(i), 6)));
  return batch;
}

struct Results {
  std::vector<float> hidden;
  std::vector<std::vector<float>> gradients;
};

// One forward and one backward pass over rows [first, end) of the batch; the forward's hidden states.
struct Runner {
  Model& model;
  const Batch& batch;
  PathCache* cache;
  ParameterArena gradients{model.backend(), model.weights().shared_layout()};
  Activations activations{};

  std::vector<float> forward(const RandomTree& segment, bool keep) {
    const Matrix hidden(*model.backend(), segment.rows() - segment.context_tokens, model.config().hidden_size);
    model.forward_tree(hidden.tensor, tokens(segment), segment.layout(), keep ? &activations : nullptr, cache);
    return download(*model.backend(), hidden.tensor);
  }
  void backward(const RandomTree& segment) {
    Backend& backend = *model.backend();
    const int64_t width = model.config().hidden_size;
    const Matrix dhidden(backend, segment.rows() - segment.context_tokens, width);
    backend.upload(dhidden.tensor.data, batch.dhidden.data() + segment.context_tokens * width,
                   static_cast<size_t>(dhidden.tensor.rows * width) * sizeof(float));
    model.backward_tree(gradients, dhidden.tensor, tokens(segment), segment.layout(), activations, cache);
  }
  std::span<const int32_t> tokens(const RandomTree& segment) const {
    return std::span(batch.tokens).first(static_cast<size_t>(segment.rows())).subspan(
        static_cast<size_t>(segment.context_tokens));
  }
};

Results run_whole(Model& model, const Batch& batch) {
  Runner runner{model, batch, nullptr};
  Results results{runner.forward(batch.tree, true), {}};
  runner.backward(batch.tree);
  results.gradients = read_all(runner.gradients);
  return results;
}

Results run_segments(Model& model, const Batch& batch, int64_t rows_each, PathCache& cache) {
  Runner runner{model, batch, &cache};
  std::vector<RandomTree> segments;
  for (int64_t first = 0; first < batch.tree.rows(); first += rows_each)
    segments.push_back(batch.tree.segment(first, std::min(first + rows_each, batch.tree.rows())));
  cache.start(*model.backend(), model.config(), batch.tree.rows(), true);
  Results results;
  for (const RandomTree& segment : segments) {
    const std::vector<float> hidden = runner.forward(segment, false);
    results.hidden.insert(results.hidden.end(), hidden.begin(), hidden.end());
  }
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    const std::vector<float> again = runner.forward(*segment, true);
    CHECK(std::equal(again.begin(), again.end(),
                     results.hidden.begin() + segment->context_tokens * model.config().hidden_size));
    runner.backward(*segment);
  }
  results.gradients = read_all(runner.gradients);
  return results;
}

}  // namespace

TEST("path cache: a tree in segments equals the whole tree, in every family") {
  for (const std::string family : {"qwen2", "qwen3", "llama"}) {
    const ModelConfig config = tiny_config(family);
    const auto model = random_model(config, 3);
    PathCache cache;  // one for all: larger trees, then smaller ones
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      const Batch batch = random_batch(seed, config);
      const Results whole = run_whole(*model, batch);
      for (const int64_t rows_each : {int64_t{1}, int64_t{7}, batch.tree.rows() / 2, batch.tree.rows() - 1}) {
        const Results cut = run_segments(*model, batch, rows_each, cache);
        CHECK(cut.hidden == whole.hidden);
        for (size_t s = 0; s < whole.gradients.size(); ++s) {
          const double error = relative_error(cut.gradients[s], whole.gradients[s]);
          const std::string& name = model->weights().layout().slices[s].hf_name;
          if (!(error <= 1e-5)) fail_at(__FILE__, __LINE__, family, ": ", name, " is off by ", error);
        }
      }
    }
  }
}

TEST("path cache: segments out of order are refused") {
  const ModelConfig config = tiny_config("qwen3");
  const auto model = random_model(config, 1);
  Batch batch = random_batch(1, config);
  const int64_t rows = batch.tree.rows();
  const RandomTree head = batch.tree.segment(0, 4), tail = batch.tree.segment(4, rows);
  PathCache cache;
  Runner runner{*model, batch, nullptr};
  CHECK_ERROR(runner.forward(tail, false), "a `cache` of 4 context tokens but received none");
  runner.cache = &cache;
  CHECK_ERROR(runner.forward(head, false), "a segment of 0 rows");
  cache.start(*model->backend(), config, rows, true);
  CHECK_ERROR(runner.forward(tail, false), "after 0 that are computed");
  runner.forward(head, true);
  CHECK_ERROR(runner.backward(head), "a segment that ends at row " + std::to_string(rows));
  runner.forward(tail, true);
  runner.backward(tail);
  runner.forward(tail, true);
  CHECK_ERROR(runner.backward(tail), "a segment that ends at row 4");
  cache.start(*model->backend(), config, rows, false);
  runner.forward(head, false);
  runner.forward(tail, true);
  CHECK_ERROR(runner.backward(tail), "a segment that ends at row -1");
}

}  // namespace ajet::test
