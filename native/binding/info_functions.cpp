#include <napi.h>

#include <string>
#include <thread>

#include "backend/backend.h"
#include "backend/cpu/isa.h"
#include "base/error.h"
#include "binding/functions.h"

namespace ajet::binding {
namespace {

bool runs_here(const char* isa) {
  try {
    cpu::select_kernels(isa);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

// () => NativeInfo
Napi::Value native_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object out = Napi::Object::New(env);
  out.Set("version", AJET_VERSION);
  out.Set("napiVersion", NAPI_VERSION);
#if defined(__clang__)
  out.Set("compiler", "clang " __clang_version__);
#else
  out.Set("compiler", "gcc " __VERSION__);
#endif
  const Napi::Array isas = Napi::Array::New(env);
  const cpu::Kernels& selected = cpu::select_kernels("");
  for (const char* isa : {"avx512", "avx2", "portable"}) {
    if (!runs_here(isa)) continue;
    isas.Set(isas.Length(), isa);
    if (&cpu::select_kernels(isa) == &selected) out.Set("isa", isa);
  }
  out.Set("isas", isas);
  out.Set("cores", static_cast<double>(std::thread::hardware_concurrency()));
  const Napi::Object cuda = Napi::Object::New(env);
  cuda.Set("built", false);
  cuda.Set("available", false);
  cuda.Set("reason", "this build has no CUDA");
  out.Set("cuda", cuda);
  return out;
}

}  // namespace ajet::binding
