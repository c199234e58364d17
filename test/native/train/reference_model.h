// A Qwen3 transformer in float64 with a hand-written backward, one sequence at a time: the oracle for what the trainer
// computes over trees. Plain loops; shares no code with the native model.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/model.h"

namespace ajet::test {

struct Matrix {
  size_t rows = 0, cols = 0;
  std::vector<double> values;

  Matrix() = default;
  Matrix(size_t rows_, size_t cols_) : rows(rows_), cols(cols_), values(rows_ * cols_, 0.0) {}
  double* row(size_t r) { return values.data() + r * cols; }
  const double* row(size_t r) const { return values.data() + r * cols; }
  void add(const Matrix& other) {
    for (size_t i = 0; i < values.size(); ++i) values[i] += other.values[i];
  }
};

class ReferenceModel {
 public:
  explicit ReferenceModel(const Model& model) : config_(model.config()) { read_weights(model); }

  std::map<std::string, Matrix>& weights() { return weights_; }
  const std::map<std::string, Matrix>& gradients() const { return gradients_; }
  Matrix forward(const std::vector<int32_t>& tokens);  // logits [tokens, vocab]
  void backward(const Matrix& dlogits);                // of the last forward; adds to gradients()

 private:
  struct Layer {
    Matrix input, normed, q_raw, k_raw, q, k, v, probabilities, attended, middle, normed2, gate, up, product;
  };

  void read_weights(const Model& model);
  const Matrix& weight(const std::string& name) const { return weights_.at(name); }
  std::string head_name() const { return config_.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight"; }
  Matrix layer_forward(Layer& layer, const std::string& prefix, Matrix x) const;
  Matrix layer_backward(const Layer& layer, const std::string& prefix, const Matrix& dout);
  void attend(Layer& layer) const;
  void attend_backward(const Layer& layer, const Matrix& dattended, Matrix& dq, Matrix& dk, Matrix& dv) const;

  static Matrix linear(const Matrix& x, const Matrix& w);
  Matrix linear_backward(const Matrix& dy, const Matrix& x, const std::string& name);
  Matrix norm(const Matrix& x, const Matrix& w) const;
  Matrix norm_backward(const Matrix& dy, const Matrix& x, const std::string& name);
  void rotate(Matrix& x, double direction) const;

  ModelConfig config_;
  std::map<std::string, Matrix> weights_, gradients_;
  std::vector<int32_t> tokens_;
  std::vector<Layer> layers_;
  Matrix last_, final_;
};

}  // namespace ajet::test
