// The token tree computes what the unmerged sequences compute: hidden states to the bit, gradients as their sum.
#include <cstring>

#include "base/rng.h"
#include "check.h"
#include "model_fixtures.h"

namespace ajet::test {
namespace {

const std::vector<std::string> families{"qwen2", "qwen3", "llama"};

void check_forward(const std::string& family, uint64_t seed) {
  const ModelConfig config = tiny_config(family);
  const auto model = random_model(config, seed);
  const TokenTree tree = random_tree(seed, config.vocab_size);
  const auto paths = leaf_paths(tree);
  const std::vector<float> merged = forward_hidden(*model, tree);
  const auto width = static_cast<size_t>(config.hidden_size);
  for (const auto& path : paths) {
    const std::vector<float> alone = forward_hidden(*model, unmerged(tree, {path}));
    for (size_t t = 0; t < path.size(); ++t) {
      const float* row = merged.data() + static_cast<size_t>(path[t]) * width;
      CHECK(std::memcmp(row, alone.data() + t * width, width * sizeof(float)) == 0);
    }
  }
}

std::vector<std::vector<float>> gradients_of(Model& model, const TokenTree& tree, const std::vector<float>& dhidden) {
  Backend& backend = *model.backend();
  const Matrix hidden(backend, static_cast<int64_t>(tree.tokens.size()), model.config().hidden_size);
  Activations activations;
  ParameterArena gradients(model.backend(), model.weights().shared_layout());
  model.forward_tree(hidden.tensor, tree.tokens, tree.layout(), &activations);
  backend.upload(hidden.tensor.data, dhidden.data(), dhidden.size() * sizeof(float));
  model.backward_tree(gradients, hidden.tensor, tree.tokens, tree.layout(), activations);
  backend.synchronize();
  return read_all(gradients);
}

void check_backward(const std::string& family, uint64_t seed) {
  const ModelConfig config = tiny_config(family);
  const auto model = random_model(config, seed);
  const TokenTree tree = random_tree(seed, config.vocab_size);
  const auto paths = leaf_paths(tree);
  const TokenTree rows = unmerged(tree, paths);
  const auto width = static_cast<size_t>(config.hidden_size);

  std::vector<float> dmerged(tree.tokens.size() * width), drows(rows.tokens.size() * width);
  size_t unmerged_row = 0;
  for (const auto& path : paths) {
    for (const int32_t row : path) {
      for (size_t c = 0; c < width; ++c) {
        const auto d = static_cast<float>(normal_double(seed, unmerged_row * width + c, 1));
        drows[unmerged_row * width + c] = d;
        dmerged[static_cast<size_t>(row) * width + c] += d;
      }
      ++unmerged_row;
    }
  }
  const auto merged = gradients_of(*model, tree, dmerged);
  const auto summed = gradients_of(*model, rows, drows);
  for (size_t s = 0; s < merged.size(); ++s) {
    const double error = relative_error(merged[s], summed[s]);
    const std::string& name = model->weights().layout().slices[s].hf_name;
    if (!(error <= 1e-5)) fail_at(__FILE__, __LINE__, family, ": ", name, " is off by ", error);
  }
}

}  // namespace

TEST("tree: hidden states equal those of the unmerged sequences to the bit") {
  for (const std::string& family : families) {
    for (uint64_t seed = 1; seed <= 4; ++seed) check_forward(family, seed);
  }
}

TEST("tree: gradients equal the sum over the unmerged sequences") {
  for (const std::string& family : families) {
    for (uint64_t seed = 1; seed <= 4; ++seed) check_backward(family, seed);
  }
}

TEST("tree: keeping activations changes no bit, nor does their reuse for another batch") {
  const auto model = random_model(tiny_config("qwen3"), 7);
  const TokenTree large = random_tree(2, 37);
  TokenTree small;
  small.append_node(-1, {1, 2, 3});
  Activations activations;
  const std::vector<float> fresh = forward_hidden(*model, large);
  CHECK(forward_hidden(*model, small, &activations) == forward_hidden(*model, small));
  CHECK(forward_hidden(*model, large, &activations) == fresh);
  CHECK(forward_hidden(*model, small, &activations) == forward_hidden(*model, small));
  CHECK(forward_hidden(*model, large) == fresh);
}

TEST("tree: gradients accumulate, and the same batch gives the same bits with 1 and 2 threads") {
  const ModelConfig config = tiny_config("llama");
  const TokenTree tree = random_tree(3, config.vocab_size);
  std::vector<float> dhidden(tree.tokens.size() * static_cast<size_t>(config.hidden_size));
  for (size_t i = 0; i < dhidden.size(); ++i) dhidden[i] = static_cast<float>(normal_double(5, i));
  const auto one = gradients_of(*random_model(config, 5, 1), tree, dhidden);
  CHECK(one == gradients_of(*random_model(config, 5, 2), tree, dhidden));

  const auto model = random_model(config, 5);
  Backend& backend = *model->backend();
  ParameterArena gradients(model->backend(), model->weights().shared_layout());
  Activations activations;
  const Matrix hidden(backend, static_cast<int64_t>(tree.tokens.size()), config.hidden_size);
  for (int pass = 0; pass < 2; ++pass) {
    model->forward_tree(hidden.tensor, tree.tokens, tree.layout(), &activations);
    backend.upload(hidden.tensor.data, dhidden.data(), dhidden.size() * sizeof(float));
    model->backward_tree(gradients, hidden.tensor, tree.tokens, tree.layout(), activations);
  }
  const auto twice = read_all(gradients);
  for (size_t s = 0; s < one.size(); ++s) {
    std::vector<float> doubled = one[s];
    for (float& value : doubled) value *= 2;
    CHECK_LE(relative_error(twice[s], doubled), 1e-6);
  }
}

TEST("tree: misuse is an error") {
  const auto model = random_model(tiny_config("qwen2"), 1);
  TokenTree tree;
  tree.append_node(-1, {1, 2, 3});
  const Matrix hidden(*model->backend(), 3, model->config().hidden_size);
  const Matrix narrow(*model->backend(), 3, 8);
  ParameterArena gradients(model->backend(), model->weights().shared_layout());
  Activations activations;
  CHECK_ERROR(model->forward_tree(narrow.tensor, tree.tokens, tree.layout(), nullptr), "`hidden` [3, 24]");
  CHECK_ERROR(model->forward_tree(hidden.tensor, {}, {}, nullptr), "at least one token");
  CHECK_ERROR(model->backward_tree(gradients, hidden.tensor, tree.tokens, tree.layout(), activations),
              "`activations` of a forward_tree");
  model->forward_tree(hidden.tensor, tree.tokens, tree.layout(), &activations);
  model->backward_tree(gradients, hidden.tensor, tree.tokens, tree.layout(), activations);
  CHECK_ERROR(model->backward_tree(gradients, hidden.tensor, tree.tokens, tree.layout(), activations),
              "used by one backward");
  tree.tokens[1] = 37;
  CHECK_ERROR(model->forward_tree(hidden.tensor, tree.tokens, tree.layout(), nullptr), "37");
}

}  // namespace ajet::test
