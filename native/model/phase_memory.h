// Device memory that the phases of training have in turn: an engine's KV cache while it samples; gradients, activations
// and the like while a trainer makes a pass. One user at a time, on the device thread: no pass is interrupted.
#pragma once

#include <cstddef>
#include <memory>

#include "backend/backend.h"

namespace ajet {

class PhaseMemory {
 public:
  using User = const void*;  // its address; never read

  explicit PhaseMemory(std::shared_ptr<Backend> backend) : backend_(std::move(backend)) {}

  // The memory, `bytes` long or longer, is this user's from now on, and what the last one wrote is lost. Contents
  // undefined. Grows by freeing first; throws out_of_memory where that fails, and then nobody has it.
  void* take(User user, size_t bytes);
  // Whether what this user wrote is still there.
  bool held_by(User user) const { return holder_ == user; }
  // Frees the memory where this user has it.
  void leave(User user) noexcept;

  // An engine that steps as long as it has work counts on finding its cache again. Two of them would take it from each
  // other at every step, so only one may share: true for the first, until it has left.
  bool admit_engine(User engine);

  size_t bytes() const { return buffer_.bytes(); }

 private:
  std::shared_ptr<Backend> backend_;
  Buffer buffer_;
  User holder_ = nullptr;
  User engine_ = nullptr;
};

}  // namespace ajet
