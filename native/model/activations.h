// The tensors of one forward pass, carved out of one allocation that only grows. With everything kept each layer
// has its own set (training); without, all layers share one set (inference).
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
  Tensor gate_up;    // [m, 2 * intermediate]; the backward overwrites it with its gradient
  Tensor output;     // [m, hidden] residual stream: the next layer's input

  Tensor queries_and_keys() const { return {q.data, q.dtype, q.rows, q.cols + k.cols, q.stride}; }
};

// What a forward pass writes: for all rows of a batch, or for some.
struct ForwardTensors {
  std::vector<LayerActivations> layers;
  Tensor normed;  // [m, hidden] scratch
  Tensor swiglu;  // [m, intermediate] scratch

  ForwardTensors slice_rows(int64_t first, int64_t rows) const;
};

struct Activations::Data : ForwardTensors {
  Tensor dprojected;  // [m, (heads + 2 kv_heads) * head_dim], only where kept
  Tensor dattended;   // [m, heads * head_dim], only where kept
  int64_t tokens = 0;
  bool filled = false;  // a forward pass wrote it and no backward has used it up

  // Lays out tensors for so many tokens; allocates only when they need more than ever before.
  void prepare(Backend& backend, const ModelConfig& config, int64_t tokens, bool keep);

 private:
  Buffer buffer_;
};

}  // namespace ajet
