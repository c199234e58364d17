// Owned device memory.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace ajet {

class Backend;

// Device bytes, aligned to 256, freed with the last reference to the backend kept alive, or part of something that
// frees them. Move-only.
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<Backend> backend, void* data, size_t bytes)
      : backend_(std::move(backend)), data_(data), bytes_(bytes) {}
  // Bytes within what `keeper` owns.
  static Buffer within(std::shared_ptr<void> keeper, void* data, size_t bytes) {
    Buffer buffer(nullptr, data, bytes);
    buffer.keeper_ = std::move(keeper);
    return buffer;
  }
  ~Buffer();
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer moved(std::move(other));
    swap(moved);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const noexcept { return data_; }
  size_t bytes() const noexcept { return bytes_; }
  float* f32() const noexcept { return static_cast<float*>(data_); }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(keeper_, other.keeper_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  std::shared_ptr<Backend> backend_;
  std::shared_ptr<void> keeper_;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace ajet
