// What JavaScript holds: a plain object that wraps a shared_ptr to a core, with a type tag, so that the wrong object
// is an error and not a crash. Its finalizer is the last resort and only lets go of the core.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "binding/addon_data.h"

namespace ajet::binding {

// State that the JS thread and the device thread share. Each field says whose it is.
struct Core {
  Core() = default;
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  virtual ~Core() = default;

  // Device thread: frees what the core owns and rejects what waits for it. Idempotent.
  virtual void dispose(DeviceThread& device) = 0;

  bool closing = false;    // JS thread: dispose() was called, nothing new is let in
  int64_t host_bytes = 0;  // written by the job that opened the core, before JavaScript sees the handle
};

// Specialised for each kind of core: `name` for messages, `tag`.
template <typename T>
struct HandleTraits;

template <typename T>
struct Holder {
  std::shared_ptr<T> core;
  std::shared_ptr<DeviceThread> device;
  int64_t external_bytes;  // what V8 was told
};

template <typename T>
Napi::Object make_handle(Napi::Env env, std::shared_ptr<T> core) {
  const Napi::Object handle = Napi::Object::New(env);
  auto* holder = new Holder<T>{std::move(core), AddonData::get(env).shared_device(), 0};
  holder->external_bytes = holder->core->host_bytes;
  const auto finalize = [](napi_env raw_env, void* data, void*) {
    auto* dying = static_cast<Holder<T>*>(data);
    Napi::MemoryManagement::AdjustExternalMemory(Napi::BasicEnv(raw_env), -dying->external_bytes);
    dying->device->release(std::move(dying->core));
    delete dying;
  };
  if (napi_wrap(env, handle, holder, finalize, nullptr, nullptr) != napi_ok) {
    delete holder;
    throw Napi::Error::New(env);
  }
  Napi::MemoryManagement::AdjustExternalMemory(env, holder->external_bytes);
  handle.TypeTag(&HandleTraits<T>::tag);
  return handle;
}

template <typename T>
Holder<T>& holder_argument(const char* op, Napi::Value value) {
  void* data = nullptr;
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&HandleTraits<T>::tag) ||
      napi_unwrap(value.Env(), value, &data) != napi_ok) {
    fail(ErrorCode::invalid_argument, std::string("[") + op + "] Expected the handle of " + HandleTraits<T>::name);
  }
  return *static_cast<Holder<T>*>(data);
}

// The core behind a handle; throws disposed once dispose() was called.
template <typename T>
const std::shared_ptr<T>& core_argument(const char* op, Napi::Value value) {
  const auto& core = holder_argument<T>(op, value).core;
  if (core->closing) {
    fail(ErrorCode::disposed, std::string("[") + op + "] " + HandleTraits<T>::name + " was disposed of");
  }
  return core;
}

// Closes the core now and frees it, after its children, in a job of its own, after all that was queued before. A second
// call resolves after the first.
template <typename T>
Napi::Promise dispose_handle(const char* op, const Napi::CallbackInfo& info,
                             std::vector<std::shared_ptr<Core>> children = {}) {
  Holder<T>& holder = holder_argument<T>(op, info[0]);
  holder.core->closing = true;
  AddonData& data = AddonData::get(info.Env());
  return data.submit(
      info.Env(), info[0].As<Napi::Object>(), JobKind::heavy,
      [core = holder.core, children = std::move(children), device = &data.device(), &holder]() -> Result {
        for (const auto& child : children) child->dispose(*device);
        core->dispose(*device);
        return [&holder](Napi::Env env) {
          Napi::MemoryManagement::AdjustExternalMemory(env, -holder.external_bytes);
          holder.external_bytes = 0;
          return env.Undefined();
        };
      });
}

}  // namespace ajet::binding
