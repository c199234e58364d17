#include "model/activations.h"

#include <algorithm>

#include "tensor/section.h"

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
  // On from where the furthest of several that share memory has come.
  void move_to(size_t used) { used_ = aligned_bytes(used); }

 private:
  Tensor take(int64_t rows, int64_t cols, DType dtype) {
    char* data = base_ == nullptr ? nullptr : base_ + used_;
    move_to(used_ + static_cast<size_t>(rows * cols * dtype_bytes(dtype)));
    return {data, dtype, rows, cols, cols};
  }

  char* base_;
  DType compute_dtype_;
  size_t used_ = 0;
};

// Of nearly equal chunks, in steps of 16 so that products find the chunks' rows aligned.
int64_t chunk_rows(int64_t rows, int64_t max_rows) {
  const int64_t chunks = (rows + max_rows - 1) / max_rows;
  return std::min({rows, max_rows, ((rows + chunks - 1) / chunks + 15) / 16 * 16});
}

class Layout {
 public:
  Layout(const ModelConfig& config, int64_t tokens, const ActivationLayout& layout)
      : config_(config),
        tokens_(tokens),
        layout_(layout),
        chunk_rows_(chunk_rows(tokens, layout.mlp_rows)),
        q_cols_(config.heads * config.head_dim),
        kv_cols_(config.kv_heads * config.head_dim) {}

  void carve(Carver& carver, Activations::Data& data) const {
    LayerActivations shared;
    const size_t lent_end = carver.used() + layout_.lent_bytes;
    carver.move_to(std::max(lent_end, carve_scratch(carver, data, shared)));
    data.layers.clear();
    Tensor stream = carver.take_f32(tokens_, config_.hidden_size);
    for (int64_t l = 0; l < config_.layers; ++l) {
      LayerActivations layer = shared;
      layer.input = stream;
      if (keeps_all()) {
        carve_attention(carver, layer);
        carve_mlp(carver, layer, tokens_);
      }
      if (keeps_all() || (layout_.keep == Keep::layer_inputs && l > 0)) {
        stream = carver.take_f32(tokens_, config_.hidden_size);
      }
      layer.output = stream;
      data.layers.push_back(layer);
    }
  }

 private:
  bool keeps_all() const { return layout_.keep == Keep::everything; }

  void carve_attention(Carver& carver, LayerActivations& layer) const {
    layer.projected = carver.take(tokens_, q_cols_ + 2 * kv_cols_);
    const Tensor rotated = config_.qk_norm ? carver.take(tokens_, q_cols_ + kv_cols_) : layer.projected;
    layer.q = rotated.slice_cols(0, q_cols_);
    layer.k = rotated.slice_cols(q_cols_, kv_cols_);
    layer.v = layer.projected.slice_cols(q_cols_ + kv_cols_, kv_cols_);
    layer.attended = carver.take(tokens_, q_cols_);
    layer.lse = carver.take_f32(tokens_, config_.heads);
  }

  void carve_mlp(Carver& carver, LayerActivations& layer, int64_t gate_up_rows) const {
    layer.middle = carver.take_f32(tokens_, config_.hidden_size);
    layer.gate_up = carver.take(gate_up_rows, 2 * config_.intermediate_size);
  }

  // What is needed within one layer alone; returns where it ends. The backward of attention comes behind the MLP's,
  // whose tensors are dead by then; and so is `dattended` when the normed input is computed.
  size_t carve_scratch(Carver carver, Activations::Data& data, LayerActivations& shared) const {
    if (!keeps_all()) carve_attention(carver, shared);
    Carver mlp = carver, gradients = carver;
    data.normed = mlp.take(tokens_, config_.hidden_size);
    data.swiglu = mlp.take(chunk_rows_, config_.intermediate_size);
    if (!keeps_all()) carve_mlp(mlp, shared, chunk_rows_);
    data.dprojected = data.dattended = data.normed_input = Tensor{};
    if (layout_.keep == Keep::nothing) return mlp.used();
    data.dprojected = gradients.take(tokens_, q_cols_ + 2 * kv_cols_);
    Carver normed_input = gradients;
    data.dattended = gradients.take(tokens_, q_cols_);
    data.normed_input = normed_input.take(tokens_, config_.hidden_size);
    return std::max({mlp.used(), gradients.used(), normed_input.used()});
  }

  const ModelConfig& config_;
  int64_t tokens_;
  const ActivationLayout& layout_;
  int64_t chunk_rows_, q_cols_, kv_cols_;
};

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

MlpChunk ForwardTensors::mlp_chunk(int64_t layer, int64_t first_row) const {
  const LayerActivations& a = layers[static_cast<size_t>(layer)];
  const int64_t rows = std::min(swiglu.rows, normed.rows - first_row), intermediate = swiglu.cols;
  // Kept for all rows, or for those of a chunk.
  const Tensor gate_up = a.gate_up.slice_rows(a.gate_up.rows == normed.rows ? first_row : 0, rows);
  return {.first_row = first_row,
          .rows = rows,
          .middle = a.middle.slice_rows(first_row, rows),
          .normed = normed.slice_rows(first_row, rows),
          .gate_up = gate_up,
          .gate = gate_up.slice_cols(0, intermediate),
          .up = gate_up.slice_cols(intermediate, intermediate),
          .swiglu = swiglu.slice_rows(0, rows),
          .output = a.output.slice_rows(first_row, rows)};
}

size_t Activations::Data::bytes(const ModelConfig& config, DType compute_dtype, int64_t tokens,
                                const ActivationLayout& layout) {
  Carver counter(nullptr, compute_dtype);
  Data counted;
  Layout(config, tokens, layout).carve(counter, counted);
  return counter.used();
}

size_t Activations::Data::most_bytes(const ModelConfig& config, DType compute_dtype, int64_t tokens,
                                     const ActivationLayout& layout) {
  size_t most = 0;
  for (const int64_t rows : {tokens, tokens / layout.mlp_rows * layout.mlp_rows})
    if (rows > 0) most = std::max(most, bytes(config, compute_dtype, rows, layout));
  return most;
}

void Activations::Data::place(Buffer memory) {
  filled = false;
  buffer_ = std::move(memory);
}

void Activations::Data::prepare(Backend& backend, const ModelConfig& config, int64_t token_count,
                                const ActivationLayout& layout) {
  filled = false;
  const size_t needed = bytes(config, backend.compute_dtype(), token_count, layout);
  if (needed > buffer_.bytes()) {
    buffer_ = Buffer{};  // freed before the larger one is asked for
    buffer_ = backend.allocate(needed);
  }
  Carver carver(buffer_.data(), backend.compute_dtype());
  Layout(config, token_count, layout).carve(carver, *this);
  tokens = token_count;
  keep_ = layout.keep;
}

Activations::Activations() : data(std::make_unique<Data>()) {}
Activations::~Activations() = default;
Activations::Activations(Activations&&) noexcept = default;
Activations& Activations::operator=(Activations&&) noexcept = default;

}  // namespace ajet
