// Rows of weights from and to host floats; see weight_stride for the storage.
#include <algorithm>

#include "backend/cuda/device/rows.cuh"
#include "base/error.h"

namespace ajet::cuda {
namespace {

template <typename Y, typename X>
__global__ void __launch_bounds__(RowVectors::threads)
    convert_rows_kernel(Rows<Y> y, Rows<const X> x, RowVectors shape) {
  const RowVector at = row_vector(shape);
  if (at.count <= 0) return;
  float values[vector_width];
  load8(values, x.row(at.row) + at.col, at.count, x.vectorized);
  store8(y.row(at.row) + at.col, values, at.count, y.vectorized);
}

void check_rows(const char* op, const Weight& w, int64_t first_row, int64_t count) {
  if (first_row >= 0 && count >= 0 && first_row + count <= w.rows) return;
  fail(ErrorCode::invalid_argument, std::string("[") + op + "] Expected rows within " + std::to_string(w.rows) +
                                        " but received [" + std::to_string(first_row) + ", " +
                                        std::to_string(first_row + count) + ")");
}

// Rows that are converted at a time, so that the copy on the card stays small.
int64_t chunk_rows(const Weight& w) {
  constexpr int64_t chunk_elements = int64_t{4} << 20;
  return std::max<int64_t>(1, chunk_elements / std::max<int64_t>(1, w.cols));
}

// Calls body(the chunk's rows of w as a tensor, its first row, its rows).
template <typename Body>
void for_each_chunk(const Weight& w, int64_t first_row, int64_t count, const Body& body) {
  const int64_t stride = weight_stride(w.cols);
  for (int64_t row = 0; row < count; row += chunk_rows(w)) {
    const int64_t rows = std::min(chunk_rows(w), count - row);
    auto* data = static_cast<char*>(w.data) + (first_row + row) * stride * dtype_bytes(w.dtype);
    body(Tensor{data, w.dtype, rows, w.cols, stride}, row, rows);
  }
}

}  // namespace

void CudaBackend::write_weight_rows(const Weight& w, int64_t first_row, int64_t count, const float* host) {
  check_rows("write_weight_rows", w, first_row, count);
  for_each_chunk(w, first_row, count, [&](const Tensor& stored, int64_t row, int64_t rows) {
    const size_t bytes = static_cast<size_t>(rows * w.cols) * sizeof(float);
    const Scratch plain = scratch(bytes);
    upload(plain.as<void>(), host + row * w.cols, bytes);
    const Tensor from{plain.as<void>(), DType::f32, rows, w.cols, w.cols};
    with_element(w.dtype, [&](auto element) {
      using T = decltype(element);
      const RowVectors shape(rows, w.cols);
      launch(stream_, {shape.blocks(), RowVectors::threads}, convert_rows_kernel<T, float>, rows_of<T>(stored),
             rows_of<const float>(from), shape);
    });
  });
}

void CudaBackend::read_weight_rows(float* host, const Weight& w, int64_t first_row, int64_t count) {
  check_rows("read_weight_rows", w, first_row, count);
  for_each_chunk(w, first_row, count, [&](const Tensor& stored, int64_t row, int64_t rows) {
    const size_t bytes = static_cast<size_t>(rows * w.cols) * sizeof(float);
    const Scratch plain = scratch(bytes);
    const Tensor to{plain.as<void>(), DType::f32, rows, w.cols, w.cols};
    with_element(w.dtype, [&](auto element) {
      using T = decltype(element);
      const RowVectors shape(rows, w.cols);
      launch(stream_, {shape.blocks(), RowVectors::threads}, convert_rows_kernel<float, T>, rows_of<float>(to),
             rows_of<const T>(stored), shape);
    });
    download(host + row * w.cols, plain.as<void>(), bytes);
  });
}

}  // namespace ajet::cuda
