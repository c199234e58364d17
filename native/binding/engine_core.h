// An engine as the addon holds it: collects each request's tokens until its last choice ends, and streams those that
// asked for it, one batch a step.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "binding/device_thread.h"
#include "binding/handle.h"
#include "infer/engine.h"

namespace ajet::binding {

// What one choice has sampled so far.
struct ChoiceTokens {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  std::vector<int32_t> top_tokens;  // [tokens, top_logprobs]
  std::vector<float> top_logprobs;
  FinishReason finish = FinishReason::none;
  int32_t cached_tokens = 0;  // of the prompt; TokenEvent::cached_tokens
  uint64_t first_version = 0, last_version = 0;
};

struct PendingRequest {
  uint64_t promise = 0;
  bool streaming = false;
  int32_t unfinished = 0;  // choices
  std::vector<ChoiceTokens> choices;
};

// Device thread, but for stats().
class EngineCore final : public Core, public Stepper, public std::enable_shared_from_this<EngineCore> {
 public:
  void open(std::shared_ptr<Model> model, const EngineConfig& config);
  // The promise is settled when the last choice ends, or the engine fails or is disposed of.
  void submit(DeviceThread& device, Request request, uint64_t promise, bool streaming);
  void cancel(uint64_t request, std::optional<int32_t> choice);
  void cancel_all();
  void reset_prefix_cache();
  EngineStats stats() const;  // any thread: as after the last step or job

  // Prompt plus completion. Written before JavaScript sees the handle.
  int32_t max_context = 0;

  bool step(DeviceThread& device) override;
  void dispose(DeviceThread& device) override;

 private:
  Engine& open_engine() const;
  void collect(DeviceThread& device);
  void reject_all(DeviceThread& device, const std::exception_ptr& error);
  void publish_stats();

  std::unique_ptr<Engine> engine_;
  std::unordered_map<uint64_t, PendingRequest> requests_;
  std::vector<TokenEvent> events_;
  mutable std::mutex stats_mutex_;
  EngineStats stats_;
};

template <>
struct HandleTraits<EngineCore> {
  static constexpr const char* name = "the engine";
  static constexpr napi_type_tag tag = {0x41b07de25f9c4a86, 0xbe6d13f8027c9a54};
};

}  // namespace ajet::binding
