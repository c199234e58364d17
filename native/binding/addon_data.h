// Everything that belongs to one environment (the main thread or a worker): its device thread, the one thread-safe
// function, and the promises that are not settled yet. JS thread only.
#pragma once

#include <napi.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "binding/device_thread.h"

namespace ajet::binding {

class AddonData {
 public:
  static void attach(Napi::Env env);  // as the environment's instance data
  static AddonData& get(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }

  explicit AddonData(Napi::Env env);

  DeviceThread& device() { return *device_; }
  const std::shared_ptr<DeviceThread>& shared_device() { return device_; }

  // Queues `work`; the promise is settled with what it returns or throws. `owner` (a handle) is not collected before.
  Napi::Promise submit(Napi::Env env, Napi::Object owner, JobKind kind, std::function<Result()> work);
  // As submit, for work whose promise is settled later, by DeviceThread::settle, unless it throws.
  Napi::Promise submit_open(Napi::Env env, Napi::Object owner, std::function<void(uint64_t promise)> work);

 private:
  struct Pending {
    Napi::Promise::Deferred deferred;
    Napi::ObjectReference owner;
  };
  static void call_js(Napi::Env env, Napi::Function, AddonData* self, void*);
  using Wake = Napi::TypedThreadSafeFunction<AddonData, void, call_js>;

  Napi::Promise add_pending(Napi::Env env, Napi::Object owner, uint64_t& promise);
  void settle(Napi::Env env, Settlement& settlement);
  void deliver_tokens(Napi::Env env, const TokenBatch& batch);
  void drain(Napi::Env env);
  void close();

  Wake wake_;
  std::shared_ptr<DeviceThread> device_;
  std::unordered_map<uint64_t, Pending> pending_;
  uint64_t last_promise_ = 0;
};

}  // namespace ajet::binding
