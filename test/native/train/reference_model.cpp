#include "reference_model.h"

namespace ajet::test {

void ReferenceModel::read_weights(const Model& model) {
  const ParameterLayout& layout = model.weights().layout();
  std::vector<float> values;
  for (const ParameterSlice& slice : layout.slices) {
    const Parameter& parameter = layout.parameters[static_cast<size_t>(slice.parameter)];
    model.weights().read(slice, values);
    const auto rows = static_cast<size_t>(parameter.matrix ? slice.rows : 1);
    Matrix matrix(rows, values.size() / rows);
    matrix.values.assign(values.begin(), values.end());
    gradients_[slice.hf_name] = Matrix(matrix.rows, matrix.cols);
    weights_[slice.hf_name] = std::move(matrix);
  }
}

// y[m,n] = x[m,k] · w[n,k]ᵀ
Matrix ReferenceModel::linear(const Matrix& x, const Matrix& w) {
  Matrix y(x.rows, w.rows);
  for (size_t i = 0; i < x.rows; ++i) {
    for (size_t j = 0; j < w.rows; ++j) {
      double sum = 0.0;
      for (size_t p = 0; p < x.cols; ++p) sum += x.row(i)[p] * w.row(j)[p];
      y.row(i)[j] = sum;
    }
  }
  return y;
}

Matrix ReferenceModel::linear_backward(const Matrix& dy, const Matrix& x, const std::string& name) {
  const Matrix& w = weight(name);
  Matrix& dw = gradients_.at(name);
  Matrix dx(x.rows, x.cols);
  for (size_t i = 0; i < x.rows; ++i) {
    for (size_t j = 0; j < w.rows; ++j) {
      for (size_t p = 0; p < x.cols; ++p) {
        dx.row(i)[p] += dy.row(i)[j] * w.row(j)[p];
        dw.row(j)[p] += dy.row(i)[j] * x.row(i)[p];
      }
    }
  }
  return dx;
}

// Over groups of w.cols columns, so that it serves layer norms and q/k norms.
Matrix ReferenceModel::norm(const Matrix& x, const Matrix& w) const {
  Matrix y(x.rows, x.cols);
  for (size_t start = 0; start < x.values.size(); start += w.cols) {
    double squares = 0.0;
    for (size_t i = 0; i < w.cols; ++i) squares += x.values[start + i] * x.values[start + i];
    const double scale =
        1.0 / std::sqrt(squares / static_cast<double>(w.cols) + static_cast<double>(config_.rms_norm_eps));
    for (size_t i = 0; i < w.cols; ++i) y.values[start + i] = x.values[start + i] * scale * w.values[i];
  }
  return y;
}

Matrix ReferenceModel::norm_backward(const Matrix& dy, const Matrix& x, const std::string& name) {
  const Matrix& w = weight(name);
  Matrix& dw = gradients_.at(name);
  Matrix dx(x.rows, x.cols);
  const auto width = static_cast<double>(w.cols);
  for (size_t start = 0; start < x.values.size(); start += w.cols) {
    double squares = 0.0, dot = 0.0;
    for (size_t i = 0; i < w.cols; ++i) {
      squares += x.values[start + i] * x.values[start + i];
      dot += dy.values[start + i] * w.values[i] * x.values[start + i];
    }
    const double scale = 1.0 / std::sqrt(squares / width + static_cast<double>(config_.rms_norm_eps));
    for (size_t i = 0; i < w.cols; ++i) {
      const double value = x.values[start + i];
      dw.values[i] += dy.values[start + i] * value * scale;
      dx.values[start + i] = scale * (dy.values[start + i] * w.values[i] - value * dot * scale * scale / width);
    }
  }
  return dx;
}

// Rotary embedding of pairs (i, i + head_dim / 2); direction -1 undoes it.
void ReferenceModel::rotate(Matrix& x, double direction) const {
  const auto width = static_cast<size_t>(config_.head_dim), half = width / 2;
  for (size_t t = 0; t < x.rows; ++t) {
    for (size_t start = 0; start < x.cols; start += width) {
      for (size_t i = 0; i < half; ++i) {
        const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(width);
        const double angle = direction * static_cast<double>(t) * std::pow(config_.rope_theta, -exponent);
        double &a = x.row(t)[start + i], &b = x.row(t)[start + half + i];
        const double rotated = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + a * std::sin(angle);
        a = rotated;
      }
    }
  }
}

// probabilities[heads * tokens, tokens], causal.
void ReferenceModel::attend(Layer& layer) const {
  const size_t count = layer.q.rows, width = static_cast<size_t>(config_.head_dim);
  const auto heads = static_cast<size_t>(config_.heads), shared = heads / static_cast<size_t>(config_.kv_heads);
  layer.probabilities = Matrix(heads * count, count);
  layer.attended = Matrix(count, heads * width);
  for (size_t h = 0; h < heads; ++h) {
    for (size_t t = 0; t < count; ++t) {
      double* p = layer.probabilities.row(h * count + t);
      double total = 0.0;
      for (size_t s = 0; s <= t; ++s) {
        double score = 0.0;
        for (size_t i = 0; i < width; ++i)
          score += layer.q.row(t)[h * width + i] * layer.k.row(s)[h / shared * width + i];
        p[s] = std::exp(score / std::sqrt(static_cast<double>(width)));
        total += p[s];
      }
      for (size_t s = 0; s <= t; ++s) {
        p[s] /= total;
        for (size_t i = 0; i < width; ++i)
          layer.attended.row(t)[h * width + i] += p[s] * layer.v.row(s)[h / shared * width + i];
      }
    }
  }
}

void ReferenceModel::attend_backward(const Layer& layer, const Matrix& dattended, Matrix& dq, Matrix& dk,
                                     Matrix& dv) const {
  const size_t count = layer.q.rows, width = static_cast<size_t>(config_.head_dim);
  const auto heads = static_cast<size_t>(config_.heads), shared = heads / static_cast<size_t>(config_.kv_heads);
  const double scale = 1.0 / std::sqrt(static_cast<double>(width));
  std::vector<double> dp(count);
  for (size_t h = 0; h < heads; ++h) {
    const size_t kv = h / shared * width;
    for (size_t t = 0; t < count; ++t) {
      const double* p = layer.probabilities.row(h * count + t);
      const double* dout = dattended.row(t) + h * width;
      double mean = 0.0;
      for (size_t s = 0; s <= t; ++s) {
        dp[s] = 0.0;
        for (size_t i = 0; i < width; ++i) {
          dp[s] += dout[i] * layer.v.row(s)[kv + i];
          dv.row(s)[kv + i] += p[s] * dout[i];
        }
        mean += p[s] * dp[s];
      }
      for (size_t s = 0; s <= t; ++s) {
        const double dscore = p[s] * (dp[s] - mean) * scale;
        for (size_t i = 0; i < width; ++i) {
          dq.row(t)[h * width + i] += dscore * layer.k.row(s)[kv + i];
          dk.row(s)[kv + i] += dscore * layer.q.row(t)[h * width + i];
        }
      }
    }
  }
}

Matrix ReferenceModel::layer_forward(Layer& layer, const std::string& prefix, Matrix x) const {
  layer.input = x;
  layer.normed = norm(x, weight(prefix + "input_layernorm.weight"));
  layer.q_raw = linear(layer.normed, weight(prefix + "self_attn.q_proj.weight"));
  layer.k_raw = linear(layer.normed, weight(prefix + "self_attn.k_proj.weight"));
  layer.v = linear(layer.normed, weight(prefix + "self_attn.v_proj.weight"));
  layer.q = norm(layer.q_raw, weight(prefix + "self_attn.q_norm.weight"));
  layer.k = norm(layer.k_raw, weight(prefix + "self_attn.k_norm.weight"));
  rotate(layer.q, 1.0);
  rotate(layer.k, 1.0);
  attend(layer);
  x.add(linear(layer.attended, weight(prefix + "self_attn.o_proj.weight")));
  layer.middle = x;
  layer.normed2 = norm(x, weight(prefix + "post_attention_layernorm.weight"));
  layer.gate = linear(layer.normed2, weight(prefix + "mlp.gate_proj.weight"));
  layer.up = linear(layer.normed2, weight(prefix + "mlp.up_proj.weight"));
  layer.product = layer.up;
  for (size_t i = 0; i < layer.product.values.size(); ++i) {
    const double gate = layer.gate.values[i];
    layer.product.values[i] *= gate / (1.0 + std::exp(-gate));
  }
  x.add(linear(layer.product, weight(prefix + "mlp.down_proj.weight")));
  return x;
}

Matrix ReferenceModel::layer_backward(const Layer& layer, const std::string& prefix, const Matrix& dout) {
  Matrix dx = dout;
  const Matrix dproduct = linear_backward(dout, layer.product, prefix + "mlp.down_proj.weight");
  Matrix dgate = dproduct, dup = dproduct;
  for (size_t i = 0; i < dgate.values.size(); ++i) {
    const double gate = layer.gate.values[i], sigmoid = 1.0 / (1.0 + std::exp(-gate));
    dup.values[i] *= gate * sigmoid;
    dgate.values[i] *= layer.up.values[i] * sigmoid * (1.0 + gate * (1.0 - sigmoid));
  }
  Matrix dnormed2 = linear_backward(dgate, layer.normed2, prefix + "mlp.gate_proj.weight");
  dnormed2.add(linear_backward(dup, layer.normed2, prefix + "mlp.up_proj.weight"));
  dx.add(norm_backward(dnormed2, layer.middle, prefix + "post_attention_layernorm.weight"));

  const Matrix dattended = linear_backward(dx, layer.attended, prefix + "self_attn.o_proj.weight");
  Matrix dq(layer.q.rows, layer.q.cols), dk(layer.k.rows, layer.k.cols), dv(layer.v.rows, layer.v.cols);
  attend_backward(layer, dattended, dq, dk, dv);
  rotate(dq, -1.0);
  rotate(dk, -1.0);
  dq = norm_backward(dq, layer.q_raw, prefix + "self_attn.q_norm.weight");
  dk = norm_backward(dk, layer.k_raw, prefix + "self_attn.k_norm.weight");
  Matrix dnormed = linear_backward(dq, layer.normed, prefix + "self_attn.q_proj.weight");
  dnormed.add(linear_backward(dk, layer.normed, prefix + "self_attn.k_proj.weight"));
  dnormed.add(linear_backward(dv, layer.normed, prefix + "self_attn.v_proj.weight"));
  dx.add(norm_backward(dnormed, layer.input, prefix + "input_layernorm.weight"));
  return dx;
}

Matrix ReferenceModel::forward(const std::vector<int32_t>& tokens) {
  tokens_ = tokens;
  const Matrix& embedding = weight("model.embed_tokens.weight");
  Matrix x(tokens.size(), embedding.cols);
  for (size_t t = 0; t < tokens.size(); ++t) {
    for (size_t i = 0; i < x.cols; ++i) x.row(t)[i] = embedding.row(static_cast<size_t>(tokens[t]))[i];
  }
  layers_.assign(static_cast<size_t>(config_.layers), {});
  for (size_t l = 0; l < layers_.size(); ++l)
    x = layer_forward(layers_[l], "model.layers." + std::to_string(l) + ".", std::move(x));
  last_ = std::move(x);
  final_ = norm(last_, weight("model.norm.weight"));
  return linear(final_, weight(head_name()));
}

void ReferenceModel::backward(const Matrix& dlogits) {
  Matrix dx = norm_backward(linear_backward(dlogits, final_, head_name()), last_, "model.norm.weight");
  for (size_t l = layers_.size(); l-- > 0;)
    dx = layer_backward(layers_[l], "model.layers." + std::to_string(l) + ".", dx);
  Matrix& dembedding = gradients_.at("model.embed_tokens.weight");
  for (size_t t = 0; t < tokens_.size(); ++t) {
    for (size_t i = 0; i < dx.cols; ++i) dembedding.row(static_cast<size_t>(tokens_[t]))[i] += dx.row(t)[i];
  }
}

}  // namespace ajet::test
