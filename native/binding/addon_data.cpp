#include "binding/addon_data.h"

#include <exception>
#include <utility>
#include <variant>

#include "base/error.h"
#include "binding/errors.h"
#include "binding/typed_arrays.h"

namespace ajet::binding {

void AddonData::attach(Napi::Env env) {
  auto* data = new AddonData(env);
  env.SetInstanceData(data);
  // Hooks run last first: this one stops the device thread before the thread-safe function's own hook closes it.
  env.AddCleanupHook([](AddonData* self) { self->close(); }, data);
}

AddonData::AddonData(Napi::Env env) : wake_(Wake::New(env, "ajet", 0, 1, this)) {
  wake_.Unref(env);
  device_ = std::make_shared<DeviceThread>([wake = wake_] { wake.NonBlockingCall(); });
}

void AddonData::close() {
  device_->stop();
  wake_.Release();
  pending_.clear();
}

Napi::Promise AddonData::add_pending(Napi::Env env, Napi::Object owner, uint64_t& promise) {
  const auto deferred = Napi::Promise::Deferred::New(env);
  promise = ++last_promise_;
  pending_.emplace(promise, Pending{deferred, owner.IsEmpty() ? Napi::ObjectReference() : Napi::Persistent(owner)});
  if (pending_.size() == 1) wake_.Ref(env);  // a busy device keeps the process alive, an idle one does not
  return deferred.Promise();
}

Napi::Promise AddonData::submit(Napi::Env env, Napi::Object owner, JobKind kind, std::function<Result()> work) {
  uint64_t promise = 0;
  const Napi::Promise js_promise = add_pending(env, owner, promise);
  device_->enqueue(
      [device = device_.get(), promise, work = std::move(work)] {
        try {
          device->settle(promise, work());
        } catch (...) {
          device->settle_error(promise, std::current_exception());
        }
      },
      kind);
  return js_promise;
}

Napi::Promise AddonData::submit_open(Napi::Env env, Napi::Object owner, std::function<void(uint64_t)> work) {
  uint64_t promise = 0;
  const Napi::Promise js_promise = add_pending(env, owner, promise);
  device_->enqueue([device = device_.get(), promise, work = std::move(work)] {
    try {
      work(promise);
    } catch (...) {
      device->settle_error(promise, std::current_exception());
    }
  });
  return js_promise;
}

void AddonData::call_js(Napi::Env env, Napi::Function, AddonData* self, void*) {
  if (static_cast<napi_env>(env) != nullptr) self->drain(env);
}

void AddonData::drain(Napi::Env env) {
  std::exception_ptr first_error;  // a listener that throws must not keep the others from being settled
  for (Delivery& delivery : device_->take_deliveries()) {
    const Napi::HandleScope scope(env);
    try {
      if (auto* settlement = std::get_if<Settlement>(&delivery)) {
        settle(env, *settlement);
      } else {
        deliver_tokens(env, std::get<TokenBatch>(delivery));
      }
    } catch (const Napi::Error&) {
      if (!first_error) first_error = std::current_exception();
    }
  }
  if (first_error) std::rethrow_exception(first_error);
}

void AddonData::settle(Napi::Env env, Settlement& settlement) {
  auto node = pending_.extract(settlement.promise);
  if (node.empty()) return;
  if (pending_.empty()) wake_.Unref(env);
  const Napi::Promise::Deferred& deferred = node.mapped().deferred;
  if (!settlement.error) {
    try {
      deferred.Resolve(settlement.result(env));
      return;
    } catch (...) {
      settlement.error = std::current_exception();
    }
  }
  deferred.Reject(make_error(env, settlement.error));
}

// The engine's handle carries its listener in the property `onTokens`, so that neither keeps the other from being
// collected; the arguments are those of TokenListener in src/native/addon-types.ts.
void AddonData::deliver_tokens(Napi::Env env, const TokenBatch& batch) {
  const auto pending = pending_.find(batch.promise);
  if (pending == pending_.end()) return;
  const Napi::Object engine = pending->second.owner.Value();
  const Napi::Value listener = engine.Get("onTokens");
  if (!listener.IsFunction()) return;
  const Napi::Object events = Napi::Object::New(env);
  events.Set("requests", to_js(env, batch.request));
  events.Set("choices", to_js(env, batch.choice));
  events.Set("tokens", to_js(env, batch.token));
  events.Set("logprobs", to_js(env, batch.logprob));
  events.Set("finishes", to_js(env, batch.finish));
  events.Set("versions", to_js(env, batch.version));
  events.Set("topOffsets", to_js(env, batch.top_offset));
  events.Set("topTokens", to_js(env, batch.top_token));
  events.Set("topLogprobs", to_js(env, batch.top_logprob));
  listener.As<Napi::Function>().Call(engine, {events});
}

}  // namespace ajet::binding
