// SwiGLU (Shazeer 2020), forward and backward.
#include "backend/cuda/device/rows.cuh"

namespace ajet::cuda {
namespace {

AJET_DEVICE float sigmoid(float x) { return 1.0F / (1.0F + expf(-x)); }

template <typename T>
__global__ void __launch_bounds__(RowVectors::threads)
    swiglu_kernel(Rows<T> y, Rows<const T> gate, Rows<const T> up, RowVectors shape) {
  const RowVector at = row_vector(shape);
  if (at.count <= 0) return;
  float g[vector_width], u[vector_width];
  load8(g, gate.row(at.row) + at.col, at.count, gate.vectorized);
  load8(u, up.row(at.row) + at.col, at.count, up.vectorized);
#pragma unroll
  for (int i = 0; i < vector_width; ++i) u[i] *= g[i] * sigmoid(g[i]);
  store8(y.row(at.row) + at.col, u, at.count, y.vectorized);
}

// silu'(g) = s * (1 + g * (1 - s)), s = sigmoid(g)
template <typename T>
__global__ void __launch_bounds__(RowVectors::threads)
    swiglu_backward_kernel(Rows<T> dgate, Rows<T> dup, Rows<T> y, Rows<const T> dy, Rows<const T> gate,
                           Rows<const T> up, RowVectors shape) {
  const RowVector at = row_vector(shape);
  if (at.count <= 0) return;
  float d[vector_width], g[vector_width], u[vector_width], again[vector_width];
  load8(d, dy.row(at.row) + at.col, at.count, dy.vectorized);
  load8(g, gate.row(at.row) + at.col, at.count, gate.vectorized);
  load8(u, up.row(at.row) + at.col, at.count, up.vectorized);
#pragma unroll
  for (int i = 0; i < vector_width; ++i) {
    const float s = sigmoid(g[i]);
    const float slope = s * fmaf(g[i], 1.0F - s, 1.0F);
    again[i] = u[i] * (g[i] * s);
    u[i] *= d[i] * slope;
    d[i] *= g[i] * s;
  }
  store8(dgate.row(at.row) + at.col, u, at.count, dgate.vectorized);
  store8(dup.row(at.row) + at.col, d, at.count, dup.vectorized);
  store8(y.row(at.row) + at.col, again, at.count, y.vectorized);
}

}  // namespace

void CudaBackend::do_swiglu(Tensor y, Tensor gate, Tensor up) {
  require_one_dtype("swiglu", {y, gate, up});
  const RowVectors shape(y.rows, y.cols);
  with_element(y.dtype, [&](auto element) {
    using T = decltype(element);
    launch(stream_, {shape.blocks(), RowVectors::threads}, swiglu_kernel<T>, rows_of<T>(y), rows_of<const T>(gate),
           rows_of<const T>(up), shape);
  });
}

void CudaBackend::do_swiglu_backward(Tensor dgate, Tensor dup, Tensor y, Tensor dy, Tensor gate, Tensor up) {
  require_one_dtype("swiglu_backward", {dgate, dup, y, dy, gate, up});
  const RowVectors shape(dy.rows, dy.cols);
  with_element(dy.dtype, [&](auto element) {
    using T = decltype(element);
    launch(stream_, {shape.blocks(), RowVectors::threads}, swiglu_backward_kernel<T>, rows_of<T>(dgate),
           rows_of<T>(dup), rows_of<T>(y), rows_of<const T>(dy), rows_of<const T>(gate), rows_of<const T>(up), shape);
  });
}

}  // namespace ajet::cuda
