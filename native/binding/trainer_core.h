// A trainer as the addon holds it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "binding/handle.h"
#include "binding/model_core.h"
#include "train/trainer.h"

namespace ajet::binding {

using AbortFlag = std::atomic<bool>;

struct TrainerCore final : Core {
  void dispose(DeviceThread&) override { trainer.reset(); }

  // Device thread. Throws disposed where the trainer is gone.
  Trainer& open_trainer() const {
    if (!trainer) fail(ErrorCode::disposed, "[trainer] The trainer was disposed of");
    return *trainer;
  }
  void publish() {
    steps_done.store(trainer->steps_done());
    model->publish_version();
  }

  std::shared_ptr<ModelCore> model;
  std::unique_ptr<Trainer> trainer;                                    // device thread
  std::atomic<int64_t> steps_done = 0;                                 // for the JS thread
  std::unordered_map<uint64_t, std::weak_ptr<AbortFlag>> abort_flags;  // JS thread: of steps queued or running, by id
};

template <>
struct HandleTraits<TrainerCore> {
  static constexpr const char* name = "the trainer";
  static constexpr napi_type_tag tag = {0x6c3e9a57d0184b2f, 0x85f2d7b3149e6ac0};
};

}  // namespace ajet::binding
