// Random inputs on a device. Zeros would not do: products of zeros draw less power and run faster.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "tensor/buffer.h"

namespace ajet::bench {

struct DeviceMatrix {
  Buffer buffer;
  Tensor tensor;
};

// Uniform in [-scale, scale), repeated after 2^20 elements.
DeviceMatrix random_matrix(Backend& backend, DType dtype, int64_t rows, int64_t cols, uint64_t seed,
                           double scale = 1.0);

struct DeviceWeight {
  Buffer buffer;
  Weight weight;
};

// In the backend's compute type and layout.
DeviceWeight random_weight(Backend& backend, int64_t rows, int64_t cols, uint64_t seed);
// Zeros, f32: a gradient's place.
DeviceWeight zero_weight(Backend& backend, int64_t rows, int64_t cols);

}  // namespace ajet::bench
