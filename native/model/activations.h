// The tensors of one forward pass, carved out of one allocation that only grows. With everything kept each layer has
// its own set; else all layers share one, and with Keep::layer_inputs each layer's input is kept beside it, but for the
// first layer's: an embedding is read again as quickly.
#pragma once

#include <vector>

#include "model/model.h"

namespace ajet {

// One layer's tensors in the order in which they are computed; m tokens. The residual stream and lse are f32, the rest
// has the backend's compute type.
struct LayerActivations {
  Tensor input;      // [m, hidden] residual stream
  Tensor projected;  // [m, (heads + 2 kv_heads) * head_dim] q, k, v as projected
  Tensor q, k, v;    // as attention reads them: columns of `projected`, or of a buffer of their own after q/k norm
  Tensor attended;   // [m, heads * head_dim]
  Tensor lse;        // [m, heads]
  Tensor middle;     // [m, hidden] residual stream after attention
  Tensor gate_up;    // [m, 2 * intermediate], or of one chunk; the backward overwrites it with its gradient
  Tensor output;     // [m, hidden] residual stream: the next layer's input

  Tensor queries_and_keys() const { return {q.data, q.dtype, q.rows, q.cols + k.cols, q.stride}; }
};

// Rows [first_row, first_row + rows) of a layer's MLP.
struct MlpChunk {
  int64_t first_row, rows;
  Tensor middle, normed, gate_up, gate, up, swiglu, output;
};

// What a forward pass writes: for all rows of a batch, or for some.
struct ForwardTensors {
  std::vector<LayerActivations> layers;
  Tensor normed;  // [m, hidden] scratch
  Tensor swiglu;  // [rows of a chunk, intermediate] scratch

  // Visits the chunks of a layer's MLP in the order of their rows.
  template <typename Visit>
  void for_each_mlp_chunk(int64_t layer, const Visit& visit) const {
    for (int64_t row = 0; row < normed.rows; row += swiglu.rows) visit(mlp_chunk(layer, row));
  }
  // Of a pass whose MLP is one chunk.
  ForwardTensors slice_rows(int64_t first, int64_t rows) const;

 private:
  MlpChunk mlp_chunk(int64_t layer, int64_t first_row) const;
};

struct Activations::Data : ForwardTensors {
  Tensor dprojected;    // [m, (heads + 2 kv_heads) * head_dim]
  Tensor dattended;     // [m, heads * head_dim]
  Tensor normed_input;  // [m, hidden] scratch of attention's backward
  int64_t tokens = 0;
  bool filled = false;  // a forward pass wrote it and no backward has used it up

  // What prepare() needs.
  static size_t bytes(const ModelConfig& config, DType compute_dtype, int64_t tokens, const ActivationLayout& layout);
  // The most that it needs for at most so many tokens: more than for exactly so many where fewer make larger chunks.
  static size_t most_bytes(const ModelConfig& config, DType compute_dtype, int64_t tokens,
                           const ActivationLayout& layout);
  // Tensors are laid out in this memory from now on, as long as they fit.
  void place(Buffer memory);
  // Lays out tensors for so many tokens; allocates only when they need more than ever before.
  void prepare(Backend& backend, const ModelConfig& config, int64_t tokens, const ActivationLayout& layout);
  // ActivationLayout::lent_bytes that hold no tensor between a forward pass and its backward: the caller's for so long.
  void* lent() const { return buffer_.data(); }
  // Whether a layer's tensors, but for its input and output, are gone when its backward begins.
  bool recomputes() const { return keep_ == Keep::layer_inputs; }

 private:
  Buffer buffer_;
  Keep keep_ = Keep::nothing;
};

}  // namespace ajet
