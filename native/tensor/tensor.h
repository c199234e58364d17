// Views on device memory. No ownership, no arithmetic.
#pragma once

#include <cstdint>

namespace ajet {

enum class DType : uint8_t { f32, bf16, i32 };

constexpr int64_t dtype_bytes(DType dtype) { return dtype == DType::bf16 ? 2 : 4; }

// A row-major matrix on the device: element (r, c) lies at data[r * stride + c]. stride >= cols; a
// column range of a wider matrix is a Tensor too. A vector is a Tensor of one row.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  float* f32() const { return static_cast<float*>(data); }
  bool contiguous() const { return stride == cols || rows <= 1; }

  Tensor slice_rows(int64_t first, int64_t count) const {
    return {static_cast<char*>(data) + first * stride * dtype_bytes(dtype), dtype, count, cols, stride};
  }
  Tensor slice_cols(int64_t first, int64_t count) const {
    return {static_cast<char*>(data) + first * dtype_bytes(dtype), dtype, rows, count, stride};
  }
};

// A linear layer's matrix w[rows = outputs, cols = inputs] in the backend's own storage (CPU: packed
// panels of 16 outputs, see backend/cpu/panels.h). Weights, their gradients and AdamW's moments share one
// storage layout, so elementwise updates may walk the storage; padding holds zeros and stays zero.
struct Weight {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0;
  int64_t cols = 0;
};

}  // namespace ajet
