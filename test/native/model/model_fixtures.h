// Tiny models, token trees and folders for the model's tests.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "model/model.h"

namespace ajet::test {

// A small model of the family with all that the family can have (biases, q/k norm, grouped heads, odd sizes).
ModelConfig tiny_config(const std::string& model_type);

// Random weights, norms and biases included (Model::random leaves those at 1 and 0).
std::shared_ptr<Model> random_model(const ModelConfig& config, uint64_t seed, int threads = 2);

// A batch over a token tree with what its layout points to.
struct TokenTree {
  std::vector<TreeNode> nodes;
  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;
  TreeLayout layout() const;
  void append_node(int32_t parent, const std::vector<int32_t>& node_tokens);
};

TokenTree random_tree(uint64_t seed, int64_t vocab_size);
// For each leaf the batch rows from its root to its last token.
std::vector<std::vector<int32_t>> leaf_paths(const TokenTree& tree);
// One root for each path.
TokenTree unmerged(const TokenTree& tree, const std::vector<std::vector<int32_t>>& paths);

// A device matrix that owns its memory.
struct Matrix {
  Matrix(Backend& backend, int64_t rows, int64_t cols);
  Buffer buffer;
  Tensor tensor;
};
std::vector<float> download(Backend& backend, Tensor tensor);
std::vector<float> forward_hidden(Model& model, const TokenTree& tree, Activations* activations = nullptr);

// Every Hugging Face tensor of an arena, in the order of the layout's slices.
std::vector<std::vector<float>> read_all(const ParameterArena& arena);

// A folder that is removed at the end of the test.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string path(const std::string& name = "") const {
    return name.empty() ? root_.string() : (root_ / name).string();
  }

 private:
  std::filesystem::path root_;
};

void write_file(const std::string& path, const std::string& bytes);

}  // namespace ajet::test
