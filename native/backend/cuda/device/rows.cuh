// Rows as kernels take them, and the shape of kernels that work on eight neighbouring elements a thread.
#pragma once

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/device/launch.cuh"
#include "backend/cuda/device/vector.cuh"

namespace ajet::cuda {

// A matrix of T (f32 or bf16) on the card; `vectorized` as load8 wants it.
template <typename T>
struct Rows {
  T* data;
  int64_t stride;
  bool vectorized;

  AJET_DEVICE T* row(int64_t r) const { return data + r * stride; }
  friend bool operator==(const Rows&, const Rows&) = default;
};

template <typename T>
Rows<T> rows_of(const Tensor& tensor) {
  auto* data = static_cast<T*>(tensor.data);
  return {data, tensor.stride, is_vectorizable(data, tensor.stride)};
}

// Calls body(T{}) with the element type of a dtype that is f32 or bf16.
template <typename Body>
void with_element(DType dtype, const Body& body) {
  if (dtype == DType::bf16) {
    body(bf16{});
  } else {
    body(float{});
  }
}

// The kernel's thread i has eight columns of one row: row i / vectors, columns from 8 (i % vectors) on.
struct RowVectors {
  int64_t rows, cols, vectors;

  RowVectors(int64_t row_count, int64_t col_count)
      : rows(row_count), cols(col_count), vectors(ceil_div(col_count, vector_width)) {}
  static constexpr int threads = 256;
  int64_t blocks() const { return ceil_div(rows * vectors, threads); }
  friend bool operator==(const RowVectors&, const RowVectors&) = default;
};

struct RowVector {
  int64_t row, col, count;  // count <= 0: nothing to do
};

AJET_DEVICE RowVector row_vector(const RowVectors& shape) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * RowVectors::threads + threadIdx.x;
  if (index >= shape.rows * shape.vectors) return {0, 0, 0};
  const int64_t row = index / shape.vectors, col = (index - row * shape.vectors) * vector_width;
  return {row, col, shape.cols - col};
}

}  // namespace ajet::cuda
