// Rotary position embedding (Su et al. 2021) with the half-split pairing of Hugging Face's models.
#include <algorithm>

#include "backend/cuda/device/rows.cuh"

namespace ajet::cuda {
namespace {

constexpr int threads = 256;

// table[p, i] = cos, table[p, half + i] = sin of p * frequencies[i], computed in double: no batch changes an entry.
__global__ void __launch_bounds__(threads)
    rope_table_kernel(float* table, const float* frequencies, int64_t positions, int64_t half) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (index >= positions * half) return;
  const int64_t position = index / half, i = index - position * half;
  const double angle = static_cast<double>(position) * static_cast<double>(frequencies[i]);
  float* row = table + 2 * position * half;
  row[i] = static_cast<float>(cos(angle));
  row[half + i] = static_cast<float>(sin(angle));
}

struct RopeShape {
  int64_t rows, heads, half, vectors;  // vectors of eight pairs in a head
  bool vectorized;                     // heads and table rows begin where vectors may
  float direction;                     // -1: the inverse
  friend bool operator==(const RopeShape&, const RopeShape&) = default;
};

template <typename T>
__global__ void __launch_bounds__(threads)
    rope_kernel(Rows<T> x, const int32_t* positions, const float* table, RopeShape shape) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  const int64_t row = index / (shape.heads * shape.vectors);
  if (row >= shape.rows) return;
  const int64_t in_row = index - row * shape.heads * shape.vectors, head = in_row / shape.vectors;
  const int64_t i = (in_row - head * shape.vectors) * vector_width, count = shape.half - i;
  T* first = x.row(row) + head * 2 * shape.half + i;
  const float* angles = table + 2 * positions[row] * shape.half + i;
  float a[vector_width], b[vector_width], c[vector_width], s[vector_width];
  load8(a, first, count, shape.vectorized);
  load8(b, first + shape.half, count, shape.vectorized);
  load8(c, angles, count, shape.vectorized);
  load8(s, angles + shape.half, count, shape.vectorized);
#pragma unroll
  for (int j = 0; j < vector_width; ++j) {
    const float sine = s[j] * shape.direction, turned = fmaf(-b[j], sine, a[j] * c[j]);
    b[j] = fmaf(a[j], sine, b[j] * c[j]);
    a[j] = turned;
  }
  store8(first, a, count, shape.vectorized);
  store8(first + shape.half, b, count, shape.vectorized);
}

}  // namespace

void CudaBackend::extend_rope_table(std::span<const float> inverse_frequencies, int64_t positions) {
  const bool same = std::ranges::equal(inverse_frequencies, rope_frequencies_);
  if (same && positions <= rope_positions_) return;
  const auto half = static_cast<int64_t>(inverse_frequencies.size());
  const int64_t wanted = std::max(positions, same ? 2 * rope_positions_ : int64_t{1024});
  const size_t bytes = static_cast<size_t>(2 * wanted * half) * sizeof(float);
  if (rope_table_ != nullptr) arena_.free(rope_table_, rope_table_bytes_);
  rope_table_ = nullptr;
  rope_positions_ = 0;
  rope_table_ = static_cast<float*>(arena_.allocate(bytes));
  rope_table_bytes_ = bytes;
  launch(stream_, {ceil_div(wanted * half, threads), threads}, rope_table_kernel, rope_table_,
         arguments_.send(inverse_frequencies), wanted, half);
  rope_frequencies_.assign(inverse_frequencies.begin(), inverse_frequencies.end());
  rope_positions_ = wanted;
}

void CudaBackend::do_rope(Tensor x, std::span<const int32_t> positions, std::span<const float> inverse_frequencies,
                          int64_t head_dim, bool inverse) {
  extend_rope_table(inverse_frequencies, *std::ranges::max_element(positions) + 1);
  const int32_t* device_positions = arguments_.send(positions);
  const int64_t half = head_dim / 2;
  RopeShape shape{x.rows, x.cols / head_dim, half, ceil_div(half, vector_width), false, inverse ? -1.0F : 1.0F};
  with_element(x.dtype, [&](auto element) {
    using T = decltype(element);
    const Rows<T> rows = rows_of<T>(x);
    shape.vectorized = rows.vectorized && half % vector_width == 0;
    launch(stream_, {ceil_div(shape.rows * shape.heads * shape.vectors, threads), threads}, rope_kernel<T>, rows,
           device_positions, rope_table_, shape);
  });
}

}  // namespace ajet::cuda
