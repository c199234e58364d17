// Random matrices on host and device, for the tests of backend ops.
#pragma once

#include <memory>
#include <string>
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

// A matrix on the device whose rows lie `gap` floats apart; the gaps hold a sentinel that no op may change.
class DeviceMatrix {
 public:
  DeviceMatrix(Backend& backend, const Matrix& host, int64_t gap = 0)
      : backend_(backend), stride_(host.cols + gap), shape_(host) {
    std::vector<float> padded(static_cast<size_t>(host.rows * stride_), sentinel);
    for (int64_t r = 0; r < host.rows; ++r) {
      for (int64_t c = 0; c < host.cols; ++c) padded[static_cast<size_t>(r * stride_ + c)] = host(r, c);
    }
    buffer_ = backend.allocate(padded.size() * sizeof(float));
    backend.upload(buffer_.data(), padded.data(), padded.size() * sizeof(float));
  }
  DeviceMatrix(Backend& backend, int64_t rows, int64_t cols) : DeviceMatrix(backend, Matrix(rows, cols), 3) {}
  DeviceMatrix(Backend& backend, int64_t rows, int64_t cols, std::vector<float> values)
      : DeviceMatrix(backend, Matrix(rows, cols, std::move(values)), 3) {}
  operator Tensor() const { return tensor(); }
  std::vector<float> values() const { return read().values; }
  Tensor tensor() const { return {buffer_.data(), DType::f32, shape_.rows, shape_.cols, stride_}; }
  Matrix read() const {
    std::vector<float> padded(static_cast<size_t>(shape_.rows * stride_));
    backend_.download(padded.data(), buffer_.data(), padded.size() * sizeof(float));
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
  static constexpr float sentinel = 12345.5F;
  Backend& backend_;
  int64_t stride_;
  Matrix shape_;
  Buffer buffer_;
};

// A weight in the backend's storage.
class DeviceWeight {
 public:
  DeviceWeight(Backend& backend, const Matrix& host) : backend_(backend), rows_(host.rows), cols_(host.cols) {
    elements_ = backend.weight_elements(rows_, cols_);
    buffer_ = backend.allocate(static_cast<size_t>(elements_) * sizeof(float));
    backend.write_weight_rows(weight(), 0, rows_, host.values.data());
  }
  Weight weight() const { return {buffer_.data(), DType::f32, rows_, cols_}; }
  int64_t elements() const { return elements_; }
  Matrix read() const {
    Matrix host(rows_, cols_);
    backend_.read_weight_rows(host.values.data(), weight(), 0, rows_);
    return host;
  }
  // Σ |storage|, padding included.
  double storage_norm1() const {
    std::vector<float> storage(static_cast<size_t>(elements_));
    backend_.download(storage.data(), buffer_.data(), storage.size() * sizeof(float));
    double sum = 0;
    for (float value : storage) sum += std::abs(static_cast<double>(value));
    return sum;
  }

 private:
  Backend& backend_;
  int64_t rows_;
  int64_t cols_;
  int64_t elements_ = 0;
  Buffer buffer_;
};

// The instruction sets that this machine can run.
inline std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const char* isa : {"portable", "avx2", "avx512"}) {
    try {
      make_cpu_backend(1, isa);
      names.emplace_back(isa);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::invalid_argument) throw;
    }
  }
  return names;
}

}  // namespace ajet::test
