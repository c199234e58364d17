#include "model/activations.h"

namespace ajet {
namespace {

// Hands out consecutive tensors. With a null base it only counts bytes.
class Carver {
 public:
  Carver(void* base, DType compute_dtype) : base_(static_cast<char*>(base)), compute_dtype_(compute_dtype) {}
  // In the type that the backend computes in.
  Tensor take(int64_t rows, int64_t cols) { return take(rows, cols, compute_dtype_); }
  // The residual stream and statistics.
  Tensor take_f32(int64_t rows, int64_t cols) { return take(rows, cols, DType::f32); }
  size_t used() const { return used_; }

 private:
  Tensor take(int64_t rows, int64_t cols, DType dtype) {
    char* data = base_ == nullptr ? nullptr : base_ + used_;
    used_ += (static_cast<size_t>(rows * cols * dtype_bytes(dtype)) + 255) / 256 * 256;
    return {data, dtype, rows, cols, cols};
  }

  char* base_;
  DType compute_dtype_;
  size_t used_ = 0;
};

LayerActivations carve_layer(Carver& carver, const ModelConfig& config, int64_t tokens, Tensor input) {
  const int64_t q_cols = config.heads * config.head_dim;
  const int64_t kv_cols = config.kv_heads * config.head_dim;
  LayerActivations layer;
  layer.input = input;
  layer.projected = carver.take(tokens, q_cols + 2 * kv_cols);
  const Tensor rotated = config.qk_norm ? carver.take(tokens, q_cols + kv_cols) : layer.projected;
  layer.q = rotated.slice_cols(0, q_cols);
  layer.k = rotated.slice_cols(q_cols, kv_cols);
  layer.v = layer.projected.slice_cols(q_cols + kv_cols, kv_cols);
  layer.attended = carver.take(tokens, q_cols);
  layer.lse = carver.take_f32(tokens, config.heads);
  layer.middle = carver.take_f32(tokens, config.hidden_size);
  layer.gate_up = carver.take(tokens, 2 * config.intermediate_size);
  return layer;
}

void carve(Carver& carver, Activations::Data& data, const ModelConfig& config, int64_t tokens, bool keep) {
  data.layers.clear();
  data.normed = carver.take(tokens, config.hidden_size);
  data.swiglu = carver.take(tokens, config.intermediate_size);
  data.dprojected = data.dattended = Tensor{};
  if (keep) {
    data.dprojected = carver.take(tokens, (config.heads + 2 * config.kv_heads) * config.head_dim);
    data.dattended = carver.take(tokens, config.heads * config.head_dim);
  }
  Tensor stream = carver.take_f32(tokens, config.hidden_size);
  for (int64_t l = 0; l < config.layers; ++l) {
    LayerActivations layer = keep || l == 0 ? carve_layer(carver, config, tokens, stream) : data.layers.front();
    if (keep) stream = carver.take_f32(tokens, config.hidden_size);
    layer.output = stream;
    data.layers.push_back(layer);
  }
}

LayerActivations slice_layer(LayerActivations layer, int64_t first, int64_t rows) {
  for (Tensor* tensor : {&layer.input, &layer.projected, &layer.q, &layer.k, &layer.v, &layer.attended, &layer.lse,
                         &layer.middle, &layer.gate_up, &layer.output}) {
    *tensor = tensor->slice_rows(first, rows);
  }
  return layer;
}

}  // namespace

ForwardTensors ForwardTensors::slice_rows(int64_t first, int64_t rows) const {
  ForwardTensors slice{{}, normed.slice_rows(first, rows), swiglu.slice_rows(first, rows)};
  slice.layers.reserve(layers.size());
  for (const LayerActivations& layer : layers) slice.layers.push_back(slice_layer(layer, first, rows));
  return slice;
}

void Activations::Data::prepare(Backend& backend, const ModelConfig& config, int64_t token_count, bool keep) {
  filled = false;
  Carver counter(nullptr, backend.compute_dtype());
  carve(counter, *this, config, token_count, keep);
  const size_t bytes = counter.used();
  if (bytes > buffer_.bytes()) {
    buffer_ = Buffer{};  // freed before the larger one is asked for
    buffer_ = backend.allocate(bytes);
  }
  Carver carver(buffer_.data(), backend.compute_dtype());
  carve(carver, *this, config, token_count, keep);
  tokens = token_count;
}

Activations::Activations() : data(std::make_unique<Data>()) {}
Activations::~Activations() = default;
Activations::Activations(Activations&&) noexcept = default;
Activations& Activations::operator=(Activations&&) noexcept = default;

}  // namespace ajet
