#include <napi.h>

#include <string>
#include <thread>

#include "backend/backend.h"
#include "backend/cpu/isa.h"
#include "backend/device.h"
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

Napi::Array cuda_devices(Napi::Env env, const std::vector<cuda::CudaDevice>& devices) {
  const Napi::Array out = Napi::Array::New(env);
  for (const cuda::CudaDevice& device : devices) {
    const Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", device.name);
    entry.Set("memoryBytes", static_cast<double>(device.memory_bytes));
    entry.Set("computeCapability", std::to_string(device.major) + "." + std::to_string(device.minor));
    entry.Set("problem", device.problem);
    out.Set(out.Length(), entry);
  }
  return out;
}

// CudaInfo
Napi::Object cuda_info(Napi::Env env) {
  const CudaSupport& support = cuda_support();
  const Napi::Object out = Napi::Object::New(env);
  out.Set("built", support.built);
  out.Set("available", support.problem.empty());
  out.Set("reason", support.problem);
  out.Set("driverVersion", support.probe.driver_version);
  out.Set("runtimeVersion", support.probe.runtime_version);
  out.Set("architectures", support.probe.architectures);
  out.Set("cublasLt", support.probe.cublaslt);
  out.Set("cublasLtFound", support.probe.cublaslt_found);
  out.Set("devices", cuda_devices(env, support.probe.devices));
  return out;
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
  out.Set("cuda", cuda_info(env));
  return out;
}

}  // namespace ajet::binding
