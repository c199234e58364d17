// What products read: bf16 rows that begin at multiples of 16 bytes. Tensors that are otherwise are copied.
#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/device/rows.cuh"

namespace ajet::cuda {
namespace {

template <typename X>
__global__ void __launch_bounds__(RowVectors::threads)
    pack_kernel(Rows<bf16> to, Rows<const X> from, RowVectors shape) {
  const RowVector at = row_vector(shape);
  if (at.count <= 0) return;
  float values[vector_width];
  load8(values, from.row(at.row) + at.col, at.count, from.vectorized);
  store8(to.row(at.row) + at.col, values, vector_width, true);  // zeros behind the columns
}

}  // namespace

CudaBackend::PackedOperand::PackedOperand(CudaBackend& backend, const Tensor& x)
    : data_(static_cast<const bf16*>(x.data)), stride_(x.stride) {
  if (x.dtype == DType::bf16 && is_vectorizable(data_, stride_)) return;
  stride_ = weight_stride(x.cols);
  copy_.emplace(backend, static_cast<size_t>(x.rows * stride_) * sizeof(bf16));
  auto* copy = copy_->as<bf16>();
  data_ = copy;
  const RowVectors shape(x.rows, x.cols);
  with_element(x.dtype, [&](auto element) {
    using X = decltype(element);
    launch(backend.stream_, {shape.blocks(), RowVectors::threads}, pack_kernel<X>, Rows<bf16>{copy, stride_, true},
           rows_of<const X>(x), shape);
  });
}

}  // namespace ajet::cuda
