// The gradients of y = x · wᵀ + bias. Only training runs them, so the order of their sums may depend on the number of
// tokens; it is the same each time.
#include <algorithm>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/device/product.cuh"
#include "backend/cuda/device/rows.cuh"

namespace ajet::cuda {
namespace {

using GradientTile = ProductTile<128, 128, 2, 4, 3, 1>;  // as Rows128 of linear.cu
static_assert(GradientTile::shared_bytes <= least_shared_bytes);

SegmentSteps long_segments(const Product& product) {
  constexpr int64_t segment = 16;
  return {segment, ceil_div(product.depth, depth_step), nullptr, 0, nullptr};
}

constexpr int64_t max_parts = 256, min_part_rows = 32;

// parts[y, col] = Σ dy[row, col] over the rows of part y, ascending; eight columns a thread.
template <typename DY>
__global__ void __launch_bounds__(RowVectors::threads)
    sum_part_kernel(float* parts, Rows<const DY> dy, int64_t rows, int64_t cols, int64_t part_rows) {
  const int64_t col = (static_cast<int64_t>(blockIdx.x) * RowVectors::threads + threadIdx.x) * vector_width;
  if (col >= cols) return;
  const int64_t begin = blockIdx.y * part_rows, end = min_of(rows, begin + part_rows);
  float sum[vector_width] = {}, term[vector_width];
  for (int64_t row = begin; row < end; ++row) {
    load8(term, dy.row(row) + col, cols - col, dy.vectorized);
#pragma unroll
    for (int i = 0; i < vector_width; ++i) sum[i] += term[i];
  }
  store8(parts + blockIdx.y * cols + col, sum, cols - col, false);
}

__global__ void __launch_bounds__(RowVectors::threads)
    add_parts_kernel(float* sums, const float* parts, int64_t count, int64_t cols) {
  const int64_t col = static_cast<int64_t>(blockIdx.x) * RowVectors::threads + threadIdx.x;
  if (col >= cols) return;
  float sum = 0.0F;
  for (int64_t part = 0; part < count; ++part) sum += parts[part * cols + col];
  sums[col] += sum;
}

}  // namespace

void multiply_transposed_a(Stream& stream, const Product& product) {
  launch_product<GradientTile, Major::outer, Major::depth, true>(stream, product, long_segments(product));
}

void multiply_transposed(Stream& stream, const Product& product) {
  launch_product<GradientTile, Major::outer, Major::outer, true>(stream, product, long_segments(product));
}

void CudaBackend::do_linear_dx(Tensor dx, Tensor dy, const Weight& w, bool accumulate) {
  const ProductOutput out = product_output(dx, accumulate, {});
  const int64_t stride = weight_stride(w.cols);
  if (w.dtype == DType::f32) {
    require_one_dtype("linear_dx", {dx, dy});
    return multiply_f32(stream_, {static_cast<const float*>(w.data), 1, stride, w.cols},
                        {dy.f32(), dy.stride, 1, dy.rows}, dy.cols, out);
  }
  const PackedOperand packed(*this, dy);
  const Product product{{static_cast<const bf16*>(w.data), stride, w.cols}, packed.operand(dy.rows), dy.cols, out};
  if (!cublaslt_.multiply(stream_, arena_, product, true, false)) multiply_transposed_a(stream_, product);
}

void CudaBackend::do_linear_dw(const Weight& dw, Tensor dbias, Tensor dy, Tensor x) {
  const Tensor gradient{dw.data, DType::f32, dw.rows, dw.cols, weight_stride(dw.cols)};
  const ProductOutput out = product_output(gradient, true, {});
  if (compute_dtype() == DType::f32) {
    multiply_f32(stream_, {x.f32(), 1, x.stride, x.cols}, {dy.f32(), 1, dy.stride, dy.cols}, x.rows, out);
  } else {
    const PackedOperand packed_x(*this, x), packed_dy(*this, dy);
    const Product product{packed_x.operand(x.cols), packed_dy.operand(dy.cols), x.rows, out};
    if (!cublaslt_.multiply(stream_, arena_, product, true, true)) multiply_transposed(stream_, product);
  }
  if (dbias.data != nullptr) add_column_sums(dbias, dy);
}

void CudaBackend::add_column_sums(Tensor sums, Tensor x) {
  const int64_t part_rows = std::max(min_part_rows, ceil_div(x.rows, max_parts));
  const int64_t part_count = ceil_div(x.rows, part_rows);
  const Scratch parts = scratch(static_cast<size_t>(part_count * x.cols) * sizeof(float));
  with_element(x.dtype, [&](auto element) {
    using X = decltype(element);
    const int64_t blocks = ceil_div(x.cols, int64_t{RowVectors::threads} * vector_width);
    launch(stream_, {blocks, RowVectors::threads, 0, part_count}, sum_part_kernel<X>, parts.as<float>(),
           rows_of<const X>(x), x.rows, x.cols, part_rows);
  });
  launch(stream_, {ceil_div(x.cols, RowVectors::threads), RowVectors::threads}, add_parts_kernel, sums.f32(),
         parts.as<float>(), part_count, x.cols);
}

}  // namespace ajet::cuda
