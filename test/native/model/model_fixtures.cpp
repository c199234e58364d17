#include "model_fixtures.h"

#include <unistd.h>

#include <atomic>
#include <fstream>

#include "base/rng.h"
#include "test_backend.h"

namespace ajet::test {

ModelConfig tiny_config(const std::string& model_type) {
  ModelConfig config;
  config.model_type = model_type;
  config.vocab_size = 37;
  config.hidden_size = 24;
  config.intermediate_size = 20;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = model_type == "qwen2" ? 6 : 8;
  config.max_position_embeddings = 256;
  config.rope_theta = 500;
  config.tie_word_embeddings = model_type == "qwen3";
  config.qkv_bias = model_type != "qwen3";
  config.output_bias = config.mlp_bias = model_type == "llama";
  config.qk_norm = model_type == "qwen3";
  return config;
}

std::shared_ptr<Model> random_model(const ModelConfig& config, uint64_t seed, int threads) {
  auto model = std::make_shared<Model>(test_backend(threads), config);
  const ParameterLayout& layout = model->weights().layout();
  for (size_t s = 0; s < layout.slices.size(); ++s) {
    const ParameterSlice& slice = layout.slices[s];
    const Parameter& parameter = layout.parameters[static_cast<size_t>(slice.parameter)];
    std::vector<float> values(static_cast<size_t>(parameter.matrix ? slice.rows * parameter.cols : slice.rows));
    const double mean = slice.hf_name.ends_with("norm.weight") ? 1 : 0;
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(mean + 0.2 * normal_double(seed, i, s));
    }
    model->weights().write(slice, values.data());
  }
  return model;
}

TreeLayout TokenTree::layout() const {
  int64_t max_position = 0;
  for (const int32_t position : positions) max_position = std::max<int64_t>(max_position, position + 1);
  return {nodes, positions, max_position};
}

void TokenTree::append_node(int32_t parent, const std::vector<int32_t>& node_tokens) {
  const int32_t position =
      parent < 0 ? 0 : nodes[static_cast<size_t>(parent)].position + nodes[static_cast<size_t>(parent)].tokens;
  nodes.push_back({static_cast<int32_t>(tokens.size()), static_cast<int32_t>(node_tokens.size()), parent, position});
  for (size_t i = 0; i < node_tokens.size(); ++i) {
    tokens.push_back(node_tokens[i]);
    positions.push_back(position + static_cast<int32_t>(i));
  }
}

namespace {

struct Dice {
  uint64_t seed;
  uint64_t throws = 0;
  int32_t below(int64_t count) {
    return static_cast<int32_t>(uniform_double(seed, throws++) * static_cast<double>(count));
  }
};

void grow(TokenTree& tree, Dice& dice, int32_t parent, int depth, int64_t vocab_size) {
  std::vector<int32_t> tokens;
  for (int32_t left = 1 + dice.below(12); left > 0; --left) tokens.push_back(dice.below(vocab_size));
  const auto node = static_cast<int32_t>(tree.nodes.size());
  tree.append_node(parent, tokens);
  if (depth == 3) return;
  for (int32_t children = dice.below(4); children > 0; --children) grow(tree, dice, node, depth + 1, vocab_size);
}

}  // namespace

TokenTree random_tree(uint64_t seed, int64_t vocab_size) {
  Dice dice{seed};
  TokenTree tree;
  for (int32_t roots = 2; roots > 0; --roots) grow(tree, dice, -1, 0, vocab_size);
  return tree;
}

std::vector<std::vector<int32_t>> leaf_paths(const TokenTree& tree) {
  std::vector<std::vector<int32_t>> rows(tree.nodes.size());
  std::vector<bool> leaf(tree.nodes.size(), true);
  for (size_t n = 0; n < tree.nodes.size(); ++n) {
    const TreeNode& node = tree.nodes[n];
    if (node.parent >= 0) {
      rows[n] = rows[static_cast<size_t>(node.parent)];
      leaf[static_cast<size_t>(node.parent)] = false;
    }
    for (int32_t i = 0; i < node.tokens; ++i) rows[n].push_back(node.first_token + i);
  }
  std::vector<std::vector<int32_t>> paths;
  for (size_t n = 0; n < rows.size(); ++n) {
    if (leaf[n]) paths.push_back(rows[n]);
  }
  return paths;
}

TokenTree unmerged(const TokenTree& tree, const std::vector<std::vector<int32_t>>& paths) {
  TokenTree out;
  for (const auto& path : paths) {
    std::vector<int32_t> tokens;
    for (const int32_t row : path) tokens.push_back(tree.tokens[static_cast<size_t>(row)]);
    out.append_node(-1, tokens);
  }
  return out;
}

Matrix::Matrix(Backend& backend, int64_t rows, int64_t cols)
    : buffer(backend.allocate(static_cast<size_t>(rows * cols) * sizeof(float))),
      tensor{buffer.data(), DType::f32, rows, cols, cols} {}

std::vector<float> download(Backend& backend, Tensor tensor) {
  std::vector<float> host(static_cast<size_t>(tensor.rows * tensor.cols));
  backend.synchronize();
  backend.download(host.data(), tensor.data, host.size() * sizeof(float));
  return host;
}

std::vector<float> forward_hidden(Model& model, const TokenTree& tree, Activations* activations) {
  const Matrix hidden(*model.backend(), static_cast<int64_t>(tree.tokens.size()), model.config().hidden_size);
  model.forward_tree(hidden.tensor, tree.tokens, tree.layout(), activations);
  return download(*model.backend(), hidden.tensor);
}

std::vector<std::vector<float>> read_all(const ParameterArena& arena) {
  std::vector<std::vector<float>> tensors;
  for (const ParameterSlice& slice : arena.layout().slices) arena.read(slice, tensors.emplace_back());
  return tensors;
}

TemporaryFolder::TemporaryFolder() {
  static std::atomic<int> count{0};
  root_ = std::filesystem::temp_directory_path() /
          ("ajet-model-test-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
  std::filesystem::create_directories(root_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(root_, ignored);
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace ajet::test
