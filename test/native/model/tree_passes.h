// Forward and backward passes over a random token tree, at once or in segments that a PathCache joins.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "backend/random_tree.h"
#include "base/rng.h"
#include "check.h"
#include "model/model.h"
#include "model/path_cache.h"

namespace ajet::test {

struct TreeBatch {
  RandomTree tree;
  std::vector<int32_t> tokens;
  std::vector<float> dhidden;  // [rows, hidden]

  static TreeBatch random(uint64_t seed, const ModelConfig& config) {
    TreeBatch batch{RandomTree::random(seed, 12, 9), {}, {}};
    for (int64_t row = 0; row < batch.tree.rows(); ++row) {
      const double draw = uniform_double(seed, static_cast<uint64_t>(row), 5);
      batch.tokens.push_back(static_cast<int32_t>(draw * static_cast<double>(config.vocab_size)));
    }
    for (int64_t i = 0; i < batch.tree.rows() * config.hidden_size; ++i)
      batch.dhidden.push_back(static_cast<float>(normal_double(seed, static_cast<uint64_t>(i), 6)));
    return batch;
  }
};

// Passes over segments of a batch; gradients add up.
struct TreePasses {
  Model& model;
  const TreeBatch& batch;
  PathCache* cache = nullptr;
  ActivationLayout layout{};  // of forward passes that a backward follows
  ParameterArena gradients{model.backend(), model.weights().shared_layout()};
  Activations activations{};

  // The rows' hidden states.
  std::vector<float> forward(const RandomTree& segment, bool keep) {
    activations.layout = layout;
    if (!keep) activations.layout.keep = Keep::nothing;
    const Buffer buffer = states(segment);
    model.forward_tree(matrix(buffer), tokens(segment), segment.layout(), &activations, cache);
    std::vector<float> hidden(buffer.bytes() / sizeof(float));
    model.backend()->download(hidden.data(), buffer.data(), buffer.bytes());
    return hidden;
  }
  void backward(const RandomTree& segment) {
    const Buffer buffer = states(segment);
    const int64_t first = segment.context_tokens * model.config().hidden_size;
    model.backend()->upload(buffer.data(), batch.dhidden.data() + first, buffer.bytes());
    model.backward_tree(gradients, matrix(buffer), tokens(segment), segment.layout(), activations, cache);
    model.backend()->synchronize();
  }
  std::span<const int32_t> tokens(const RandomTree& segment) const {
    return std::span(batch.tokens)
        .first(static_cast<size_t>(segment.rows()))
        .subspan(static_cast<size_t>(segment.context_tokens));
  }

 private:
  Buffer states(const RandomTree& segment) const {
    const int64_t elements = (segment.rows() - segment.context_tokens) * model.config().hidden_size;
    return model.backend()->allocate(static_cast<size_t>(elements) * sizeof(float));
  }
  Tensor matrix(const Buffer& buffer) const {
    const int64_t cols = model.config().hidden_size;
    const auto rows = static_cast<int64_t>(buffer.bytes() / sizeof(float)) / cols;
    return {buffer.data(), DType::f32, rows, cols, cols};
  }
};

struct TreeResults {
  std::vector<float> hidden;
  std::vector<std::vector<float>> gradients;  // by the layout's slices
  bool operator==(const TreeResults&) const = default;
};

inline std::vector<std::vector<float>> read_slices(const ParameterArena& arena) {
  std::vector<std::vector<float>> tensors;
  for (const ParameterSlice& slice : arena.layout().slices) arena.read(slice, tensors.emplace_back());
  return tensors;
}

inline TreeResults run_whole(Model& model, const TreeBatch& batch, const ActivationLayout& layout = {}) {
  TreePasses passes{model, batch, nullptr, layout};
  TreeResults results{passes.forward(batch.tree, true), {}};
  passes.backward(batch.tree);
  results.gradients = read_slices(passes.gradients);
  return results;
}

inline TreeResults run_segments(Model& model, const TreeBatch& batch, int64_t rows_each, PathCache& cache,
                                const ActivationLayout& layout = {}) {
  TreePasses passes{model, batch, &cache, layout};
  std::vector<RandomTree> segments;
  for (int64_t first = 0; first < batch.tree.rows(); first += rows_each)
    segments.push_back(batch.tree.segment(first, std::min(first + rows_each, batch.tree.rows())));
  cache.start(*model.backend(), model.config(), batch.tree.rows(), true);
  TreeResults results;
  for (const RandomTree& segment : segments) {
    const std::vector<float> hidden = passes.forward(segment, false);
    results.hidden.insert(results.hidden.end(), hidden.begin(), hidden.end());
  }
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    const std::vector<float> again = passes.forward(*segment, true);
    CHECK(std::equal(again.begin(), again.end(),
                     results.hidden.begin() + segment->context_tokens * model.config().hidden_size));
    passes.backward(*segment);
  }
  results.gradients = read_slices(passes.gradients);
  return results;
}

}  // namespace ajet::test
