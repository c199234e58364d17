#include "infer/kv_memory.h"

#include "model/phase_memory.h"

namespace ajet {

KvMemory::KvMemory(std::shared_ptr<Model> model, size_t bytes)
    : model_(std::move(model)), bytes_(bytes), shared_(model_->phase_memory().admit_engine(this)) {
  if (!shared_) own_ = model_->backend()->allocate(bytes);
}

KvMemory::~KvMemory() { model_->phase_memory().leave(this); }

bool KvMemory::held() const { return !shared_ || model_->phase_memory().held_by(this); }

void* KvMemory::reclaim() {
  if (!shared_) return own_.data();
  return model_->phase_memory().take(this, bytes_);
}

}  // namespace ajet
