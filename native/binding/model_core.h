// A model as the addon holds it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "binding/handle.h"
#include "model/model.h"
#include "model/shared_weights.h"

namespace ajet::binding {

struct ModelCore final : Core {
  void dispose(DeviceThread&) override { model.reset(); }

  // JS thread: a child to be disposed of before the model.
  void add_child(const std::shared_ptr<Core>& child) {
    std::erase_if(children, [](const std::weak_ptr<Core>& other) { return other.expired(); });
    children.push_back(child);
  }

  // Device thread. Throws disposed where the model is gone.
  Model& open_model() const {
    require_open();
    return *model;
  }
  const std::shared_ptr<Model>& shared_model() const {
    require_open();
    return model;
  }
  void publish_version() { version.store(model->version()); }
  // JS thread: of weights of another process, the version that a pass would now be made with.
  uint64_t latest_version() const { return attached ? attached->reader().version() : version.load(); }

  std::shared_ptr<Model> model;               // device thread
  std::atomic<uint64_t> version = 0;          // of the weights, for the JS thread
  std::vector<std::weak_ptr<Core>> children;  // JS thread: engines and trainers

  // Written once, before JavaScript sees the handle.
  std::shared_ptr<AttachedWeights> attached;  // null: the weights are this process' own
  ModelConfig config;
  std::string device_name;
  std::string device_description;
  std::string why_not_cuda;  // where "auto" took the CPU
  std::vector<std::string> weight_names;

 private:
  void require_open() const {
    if (!model) fail(ErrorCode::disposed, "[model] The model was disposed of");
  }
};

template <>
struct HandleTraits<ModelCore> {
  static constexpr const char* name = "the model";
  static constexpr napi_type_tag tag = {0x9d2f5c1e6b7a4f30, 0xa1c48e0b5d3f7261};
};

// Bytes that the backend allocated while `open` ran. Exact, as only the device thread allocates.
template <typename Open>
int64_t allocated_bytes(const Backend& backend, const Open& open) {
  const size_t before = backend.memory().active_bytes;
  open();
  return static_cast<int64_t>(backend.memory().active_bytes - before);
}

}  // namespace ajet::binding
