// How the CUDA backend lays out weights and KV blocks. No header of CUDA's is needed here.
//
// Weights are row-major: w[rows, cols] has rows of weight_stride(cols) elements, zeros behind cols.
#pragma once

#include "backend/batch_layout.h"
#include "backend/storage_format.h"

namespace ajet::cuda {

// Rows of weights begin at multiples of 32 bytes (bf16) and end behind the last step of 16 of a product over cols.
constexpr int64_t weight_stride(int64_t cols) { return (cols + 15) / 16 * 16; }

// KV blocks: keys and values of kv_block_tokens positions.
constexpr size_t kv_bytes(int64_t blocks, int64_t layers, int64_t kv_heads, int64_t head_dim, DType dtype) {
  return static_cast<size_t>(2 * blocks * layers * kv_block_tokens * kv_heads * head_dim * dtype_bytes(dtype));
}

// A card that need not be there.
class CudaStorage final : public StorageFormat {
 public:
  explicit CudaStorage(DType compute_dtype) : compute_dtype_(compute_dtype) {}
  DType compute_dtype() const override { return compute_dtype_; }
  bool has_own_memory() const override { return true; }
  int64_t weight_elements(int64_t rows, int64_t cols) const override { return rows * weight_stride(cols); }
  size_t kv_cache_bytes(int64_t blocks, int64_t layers, int64_t kv_heads, int64_t head_dim) const override {
    return kv_bytes(blocks, layers, kv_heads, head_dim, compute_dtype_);
  }

 private:
  DType compute_dtype_;
};

}  // namespace ajet::cuda
