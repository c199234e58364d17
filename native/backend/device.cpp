#include "backend/device.h"

#include <dlfcn.h>

#include <charconv>
#include <cstdlib>

#include "backend/cuda/cuda_storage.h"
#include "base/error.h"

namespace ajet {
namespace {

constexpr const char* library_name = "libajet_cuda.so";

struct Library {
  const cuda::CudaLibrary* functions = nullptr;
  std::string problem;
};

// The library lies beside the binary that this code is linked into: the addon, or a test.
std::string library_path() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&library_path), &info) == 0 || info.dli_fname == nullptr)
    return library_name;
  const std::string self = info.dli_fname;
  const size_t slash = self.rfind('/');
  return slash == std::string::npos ? std::string("./") + library_name : self.substr(0, slash + 1) + library_name;
}

Library open_library() {
  const std::string path = library_path();
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* error = dlerror();
    const bool missing = error != nullptr && std::string(error).find("No such file") != std::string::npos;
    return {nullptr, missing ? "this build has no CUDA (`npx ajet build --cuda` makes one where nvcc is)"
                             : std::string("libajet_cuda does not load: ") + (error == nullptr ? "" : error)};
  }
  using Entry = const cuda::CudaLibrary* (*)(const char*);
  const auto entry = reinterpret_cast<Entry>(dlsym(handle, "ajet_cuda_library"));
  const cuda::CudaLibrary* functions = entry == nullptr ? nullptr : entry(AJET_CUDA_ABI);
  if (functions == nullptr) return {nullptr, path + " belongs to another build: build again (`npx ajet build --cuda`)"};
  return {functions, ""};
}

const Library& library() {
  static const Library opened = open_library();
  return opened;
}

// The card that "cuda" or "cuda:N" names; -1 where the text is neither.
int card_of(const std::string& device) {
  if (device == "cuda") return 0;
  if (!device.starts_with("cuda:")) return -1;
  int card = -1;
  const auto [end, error] = std::from_chars(device.data() + 5, device.data() + device.size(), card);
  return error == std::errc() && end == device.data() + device.size() ? card : -1;
}

// Empty where the card can be used.
std::string card_problem(int card) {
  const CudaSupport& support = cuda_support();
  if (!support.problem.empty()) return support.problem;
  const auto cards = static_cast<int>(support.probe.devices.size());
  if (card >= cards) {
    return "there is no card " + std::to_string(card) + " (the driver knows " + std::to_string(cards) + ")";
  }
  return support.probe.devices[static_cast<size_t>(card)].problem;
}

DType cuda_dtype(const DeviceRequest& request) { return request.dtype == "float32" ? DType::f32 : DType::bf16; }

std::shared_ptr<Backend> make_cuda(int card, const DeviceRequest& request) {
  const char* wgmma = std::getenv("AJET_CUDA_WGMMA");
  return library().functions->make_backend({.device = card,
                                            .compute_dtype = cuda_dtype(request),
                                            .memory_limit_bytes = request.memory_limit_bytes,
                                            .warpgroup_products = wgmma != nullptr && std::string(wgmma) == "1"});
}

void check(const DeviceRequest& request) {
  if (card_of(request.device) < 0 && request.device != "auto" && request.device != "cpu") {
    fail(ErrorCode::invalid_argument,
         "[device] Expected \"auto\", \"cpu\", \"cuda\" or \"cuda:N\" for `device` but "
         "received \"" +
             request.device + '"');
  }
  if (!request.dtype.empty() && request.dtype != "float32" && request.dtype != "bfloat16") {
    fail(ErrorCode::invalid_argument,
         "[device] Expected \"float32\" or \"bfloat16\" for `dtype` but received \"" + request.dtype + '"');
  }
}

}  // namespace

const CudaSupport& cuda_support() {
  static const CudaSupport support = [] {
    CudaSupport found;
    found.built = library().functions != nullptr;
    if (found.built) found.probe = library().functions->probe();
    found.problem = found.built ? found.probe.problem : library().problem;
    return found;
  }();
  return support;
}

std::string device_of(const std::string& shared_device) {
  if (shared_device.empty()) return "cpu";
  const CudaSupport& support = cuda_support();
  if (!support.problem.empty()) fail(ErrorCode::device, "[device] The weights are on a card: " + support.problem);
  for (size_t card = 0; card < support.probe.devices.size(); ++card)
    if (support.probe.devices[card].pci_bus_id == shared_device) return "cuda:" + std::to_string(card);
  fail(ErrorCode::device, "[device] The weights are on the card " + shared_device +
                              ", which this process does not see (is CUDA_VISIBLE_DEVICES set?)");
}

std::shared_ptr<const StorageFormat> storage_format(const DeviceRequest& request) {
  check(request);
  const bool cuda = card_of(request.device) >= 0 || (request.device == "auto" && card_problem(0).empty());
  if (cuda) return std::make_shared<cuda::CudaStorage>(cuda_dtype(request));
  return make_cpu_backend(1, request.isa);
}

DeviceChoice make_backend(const DeviceRequest& request) {
  check(request);
  const int card = card_of(request.device);
  if (card >= 0) {
    const std::string problem = card_problem(card);
    if (!problem.empty()) fail(ErrorCode::device, "[device] `" + request.device + "` cannot be used: " + problem);
    return {make_cuda(card, request), ""};
  }
  std::string why_not_cuda;
  if (request.device == "auto") {
    why_not_cuda = card_problem(0);
    if (why_not_cuda.empty()) return {make_cuda(0, request), ""};
  }
  if (request.dtype == "bfloat16")
    fail(ErrorCode::invalid_argument, "[device] The CPU computes in float32; `dtype` \"bfloat16\" needs CUDA");
  return {make_cpu_backend(request.threads, request.isa, request.memory_limit_bytes), why_not_cuda};
}

}  // namespace ajet
