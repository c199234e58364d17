// How a device lays out weights and KV blocks: what is needed to know how many bytes a model takes there, without the
// device itself.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/tensor.h"

namespace ajet {

class StorageFormat {
 public:
  virtual ~StorageFormat() = default;

  // The type of activations, KV caches, and the weights that products read. Tensors of the ops may have it or be f32;
  // norm weights, biases, lse, logits and gradients of weights are f32 everywhere. The CPU: f32.
  virtual DType compute_dtype() const { return DType::f32; }
  // False: the device computes in the host's memory (the CPU).
  virtual bool has_own_memory() const { return false; }
  // Elements (not bytes) of storage for w[rows, cols], padding included; a multiple of 16.
  virtual int64_t weight_elements(int64_t rows, int64_t cols) const = 0;
  // Bytes of a cache of so many blocks.
  virtual size_t kv_cache_bytes(int64_t blocks, int64_t layers, int64_t kv_heads, int64_t head_dim) const = 0;
};

}  // namespace ajet
