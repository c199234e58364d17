// The one place where C++ exceptions become JavaScript errors.
#pragma once

#include <napi.h>

#include <exception>

namespace ajet::binding {

// An Error whose `code` is ERR_AJET_NATIVE_<CODE>; src/native/native-call.ts makes the public classes of it.
Napi::Object make_error(Napi::Env env, const std::exception_ptr& exception);

// A function as it is exported: whatever it throws reaches JavaScript as an Error with a code.
template <Napi::Value (*function)(const Napi::CallbackInfo&)>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  try {
    return function(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw Napi::Error(info.Env(), make_error(info.Env(), std::current_exception()));
  }
}

}  // namespace ajet::binding
