#include "operands.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "model/float_formats.h"

namespace ajet::bench {
namespace {

constexpr int64_t period = 1 << 20;

std::vector<float> random_floats(int64_t count, uint64_t seed, double scale) {
  std::vector<float> values(static_cast<size_t>(std::min(count, period)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(scale * (2 * uniform_double(seed, i) - 1));
  return values;
}

template <typename T>
void upload_repeatedly(Backend& backend, void* device, int64_t count, const std::vector<T>& values) {
  for (int64_t first = 0; first < count; first += period) {
    const auto elements = static_cast<size_t>(std::min(count - first, period));
    backend.upload(static_cast<T*>(device) + first, values.data(), elements * sizeof(T));
  }
}

DeviceWeight make_weight(Backend& backend, DType dtype, int64_t rows, int64_t cols) {
  const int64_t elements = backend.weight_elements(rows, cols);
  Buffer buffer = backend.allocate(static_cast<size_t>(elements * dtype_bytes(dtype)));
  const Weight weight{buffer.data(), dtype, rows, cols};
  return {std::move(buffer), weight};
}

}  // namespace

DeviceMatrix random_matrix(Backend& backend, DType dtype, int64_t rows, int64_t cols, uint64_t seed, double scale) {
  const int64_t count = rows * cols;
  Buffer buffer = backend.allocate(static_cast<size_t>(count * dtype_bytes(dtype)));
  const std::vector<float> values = random_floats(count, seed, scale);
  if (dtype == DType::f32) {
    upload_repeatedly(backend, buffer.data(), count, values);
  } else {
    std::vector<uint16_t> halves(values.size());
    std::transform(values.begin(), values.end(), halves.begin(), f32_to_bf16);
    upload_repeatedly(backend, buffer.data(), count, halves);
  }
  backend.synchronize();
  const Tensor tensor{buffer.data(), dtype, rows, cols, cols};
  return {std::move(buffer), tensor};
}

DeviceWeight random_weight(Backend& backend, int64_t rows, int64_t cols, uint64_t seed) {
  require(cols <= period, "[bench] Expected rows of at most 2^20 weights");
  DeviceWeight made = make_weight(backend, backend.compute_dtype(), rows, cols);
  // Whole rows at a time, each slab the same values.
  const int64_t slab = std::clamp<int64_t>(period / cols, 1, rows);
  const std::vector<float> values = random_floats(slab * cols, seed, 1.0);
  for (int64_t row = 0; row < rows; row += slab)
    backend.write_weight_rows(made.weight, row, std::min(slab, rows - row), values.data());
  return made;
}

DeviceWeight zero_weight(Backend& backend, int64_t rows, int64_t cols) {
  return make_weight(backend, DType::f32, rows, cols);
}

}  // namespace ajet::bench
