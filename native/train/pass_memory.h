// What a trainer holds only while it makes a pass over token trees, in one piece: lent by the model's phase memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/model.h"
#include "tensor/buffer.h"
#include "train/token_tree.h"

namespace ajet {

// How large the tensors of a pass are.
struct PassShape {
  int64_t tokens = 0;            // rows of the largest segment
  int64_t path_rows = 0;         // of the longest part that is computed in several segments; 0: there is none
  int64_t head_rows = 0;         // hidden states whose logits are held at once
  Keep keep = Keep::everything;  // nothing: no backward pass follows
};

// Bytes of each section, in the order in which they lie; multiples of 256.
struct PassBytes {
  size_t gradients = 0;
  size_t activations = 0;  // and the logits, in turn
  size_t path_cache = 0, hidden = 0, dhidden = 0;
  size_t total() const { return gradients + activations + path_cache + hidden + dhidden; }
};

// The shape of a pass over these parts of a tree; `chunk_rows` is the most that head_rows can be.
PassShape pass_shape(std::span<const TreePart> parts, int64_t max_batch_tokens, int64_t chunk_rows);
// `parameters` are the elements of a gradient arena (ParameterLayout::elements).
PassBytes pass_bytes(const ModelConfig& config, DType compute_dtype, int64_t parameters, const PassShape& shape);

// The sections of one pass.
struct PassMemory {
  Buffer gradients, activations, path_cache, hidden, dhidden;

  PassMemory() = default;
  // Cuts up memory of bytes.total() bytes, which must outlive the sections.
  PassMemory(void* memory, const PassBytes& bytes);
};

}  // namespace ajet
