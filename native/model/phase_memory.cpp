#include "model/phase_memory.h"

namespace ajet {

void* PhaseMemory::take(User user, size_t bytes) {
  if (bytes > buffer_.bytes()) {
    holder_ = nullptr;
    buffer_ = Buffer{};  // freed before the larger one is asked for
    buffer_ = backend_->allocate(bytes);
  }
  holder_ = user;
  return buffer_.data();
}

void PhaseMemory::leave(User user) noexcept {
  if (engine_ == user) engine_ = nullptr;
  if (holder_ != user) return;
  holder_ = nullptr;
  buffer_ = Buffer{};
}

bool PhaseMemory::admit_engine(User engine) {
  if (engine_ == nullptr) engine_ = engine;
  return engine_ == engine;
}

}  // namespace ajet
