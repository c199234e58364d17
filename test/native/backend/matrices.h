// Random matrices on host and device, for the tests of backend ops.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"
#include "base/rng.h"

namespace ajet::test {

// Row-major [rows, cols], standard normal values that depend on the seed alone.
struct Matrix {
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<float> values;

  Matrix(int64_t row_count, int64_t col_count)
      : rows(row_count), cols(col_count), values(static_cast<size_t>(row_count * col_count)) {}
  Matrix(int64_t row_count, int64_t col_count, std::vector<float> elements)
      : rows(row_count), cols(col_count), values(std::move(elements)) {}
  static Matrix random(int64_t rows, int64_t cols, uint64_t seed) {
    Matrix m(rows, cols);
    for (size_t i = 0; i < m.values.size(); ++i) m.values[i] = static_cast<float>(normal_double(seed, i));
    return m;
  }
  float operator()(int64_t r, int64_t c) const { return values[static_cast<size_t>(r * cols + c)]; }
  float& operator()(int64_t r, int64_t c) { return values[static_cast<size_t>(r * cols + c)]; }
};

// ---- float32 and the backend's compute type -------------------------------------------------------------

// bf16 of a finite float, rounded to nearest even.
inline uint16_t bf16_bits(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}
inline float bf16_value(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

inline float rounded(DType dtype, float value) {
  return dtype == DType::bf16 && std::isfinite(value) ? bf16_value(bf16_bits(value)) : value;
}
// What a tensor of the backend's compute type holds of these values.
inline std::vector<float> rounded(const Backend& backend, std::vector<float> values) {
  for (float& value : values) value = rounded(backend.compute_dtype(), value);
  return values;
}

// Allowed norm-wise distance from float64: what the test allows in fp32, or what 8 bits of mantissa do.
inline double tolerance(const Backend& backend, double in_f32) {
  return backend.compute_dtype() == DType::f32 ? in_f32 : 1e-2;
}

inline void upload_floats(Backend& backend, void* to, DType dtype, const std::vector<float>& values) {
  if (dtype == DType::f32) return backend.upload(to, values.data(), values.size() * sizeof(float));
  std::vector<uint16_t> bits;
  for (const float value : values) bits.push_back(std::isfinite(value) ? bf16_bits(value) : bf16_bits(0) | 0x7FC0);
  backend.upload(to, bits.data(), bits.size() * sizeof(uint16_t));
}
inline std::vector<float> download_floats(Backend& backend, const void* from, DType dtype, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  if (dtype == DType::f32) {
    backend.download(values.data(), from, values.size() * sizeof(float));
    return values;
  }
  std::vector<uint16_t> bits(values.size());
  backend.download(bits.data(), from, bits.size() * sizeof(uint16_t));
  for (size_t i = 0; i < bits.size(); ++i) values[i] = bf16_value(bits[i]);
  return values;
}

// A matrix on the device, f32 or another type, whose rows lie `gap` elements apart; the gaps hold a sentinel that no
// op may change.
class DeviceMatrix {
 public:
  DeviceMatrix(Backend& backend, const Matrix& host, int64_t gap = 0, DType dtype = DType::f32)
      : backend_(backend), stride_(host.cols + gap), shape_(host), dtype_(dtype) {
    std::vector<float> padded(static_cast<size_t>(host.rows * stride_), sentinel);
    for (int64_t r = 0; r < host.rows; ++r) {
      for (int64_t c = 0; c < host.cols; ++c) padded[static_cast<size_t>(r * stride_ + c)] = host(r, c);
    }
    buffer_ = backend.allocate(padded.size() * static_cast<size_t>(dtype_bytes(dtype)));
    upload_floats(backend, buffer_.data(), dtype, padded);
  }
  DeviceMatrix(Backend& backend, int64_t rows, int64_t cols, DType dtype = DType::f32)
      : DeviceMatrix(backend, Matrix(rows, cols), 3, dtype) {}
  DeviceMatrix(Backend& backend, int64_t rows, int64_t cols, std::vector<float> values, DType dtype = DType::f32)
      : DeviceMatrix(backend, Matrix(rows, cols, std::move(values)), 3, dtype) {}
  operator Tensor() const { return tensor(); }
  std::vector<float> values() const { return read().values; }
  Tensor tensor() const { return {buffer_.data(), dtype_, shape_.rows, shape_.cols, stride_}; }
  Matrix read() const {
    const std::vector<float> padded = download_floats(backend_, buffer_.data(), dtype_, shape_.rows * stride_);
    Matrix host(shape_.rows, shape_.cols);
    for (int64_t r = 0; r < shape_.rows; ++r) {
      for (int64_t c = 0; c < stride_; ++c) {
        const float value = padded[static_cast<size_t>(r * stride_ + c)];
        if (c < shape_.cols) {
          host(r, c) = value;
        } else if (value != sentinel) {
          fail(ErrorCode::internal, "a gap between rows was written");
        }
      }
    }
    return host;
  }

 private:
  static constexpr float sentinel = 12288.0F;
  Backend& backend_;
  int64_t stride_;
  Matrix shape_;
  DType dtype_;
  Buffer buffer_;
};

// A matrix in the backend's compute type: activations and their gradients.
class ComputeMatrix : public DeviceMatrix {
 public:
  ComputeMatrix(Backend& backend, const Matrix& host, int64_t gap = 0)
      : DeviceMatrix(backend, host, gap, backend.compute_dtype()) {}
  ComputeMatrix(Backend& backend, int64_t rows, int64_t cols)
      : DeviceMatrix(backend, rows, cols, backend.compute_dtype()) {}
  ComputeMatrix(Backend& backend, int64_t rows, int64_t cols, std::vector<float> values)
      : DeviceMatrix(backend, rows, cols, std::move(values), backend.compute_dtype()) {}
};

// A weight in the backend's storage, in the type that products read.
class DeviceWeight {
 public:
  DeviceWeight(Backend& backend, const Matrix& host) : DeviceWeight(backend, host, backend.compute_dtype()) {}
  Weight weight() const { return {buffer_.data(), dtype_, rows_, cols_}; }
  int64_t elements() const { return elements_; }
  Matrix read() const {
    Matrix host(rows_, cols_);
    backend_.read_weight_rows(host.values.data(), weight(), 0, rows_);
    return host;
  }
  // Σ |storage|, padding included.
  double storage_norm1() const {
    double sum = 0;
    for (const float value : download_floats(backend_, buffer_.data(), dtype_, elements_))
      sum += std::abs(static_cast<double>(value));
    return sum;
  }

 protected:
  DeviceWeight(Backend& backend, const Matrix& host, DType dtype)
      : backend_(backend), dtype_(dtype), rows_(host.rows), cols_(host.cols) {
    elements_ = backend.weight_elements(rows_, cols_);
    buffer_ = backend.allocate(static_cast<size_t>(elements_ * dtype_bytes(dtype)));
    backend.write_weight_rows(weight(), 0, rows_, host.values.data());
  }

 private:
  Backend& backend_;
  DType dtype_;
  int64_t rows_;
  int64_t cols_;
  int64_t elements_ = 0;
  Buffer buffer_;
};

// A weight's gradient, or its master copy: f32 everywhere.
class DeviceGradient : public DeviceWeight {
 public:
  DeviceGradient(Backend& backend, const Matrix& host) : DeviceWeight(backend, host, DType::f32) {}
};

}  // namespace ajet::test
