#include "backend/cuda/probe.h"

#include <algorithm>
#include <charconv>

#include "backend/cuda/check.h"
#include "backend/cuda/cublaslt_api.h"

namespace ajet::cuda {
namespace {

constexpr int oldest_major = 8;  // bf16 on tensor cores, cp.async
constexpr int bus_id_bytes = 32;

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

void find_cublaslt(CudaProbe& probe) {
  probe.cublaslt_found = cublaslt::open_library(probe.cublaslt) != nullptr;
  if (!probe.cublaslt_found) probe.cublaslt = "not found; ajet's own kernels compute the gradient products";
}

}  // namespace

CudaDevice describe_device(int device) {
  cudaDeviceProp properties;
  AJET_CUDA(cudaGetDeviceProperties(&properties, device));
  char bus_id[bus_id_bytes];
  AJET_CUDA(cudaDeviceGetPCIBusId(bus_id, bus_id_bytes, device));
  CudaDevice found{.name = properties.name,
                   .memory_bytes = properties.totalGlobalMem,
                   .major = properties.major,
                   .minor = properties.minor,
                   .block_shared_bytes = static_cast<int64_t>(properties.sharedMemPerBlockOptin),
                   .problem = "",
                   .pci_bus_id = bus_id};
  const std::string card =
      found.name + " has compute capability " + std::to_string(found.major) + "." + std::to_string(found.minor);
  if (found.major < oldest_major) {
    found.problem = card + ", and ajet needs 8.0 or newer";
  } else if (!has_code_for(AJET_CUDA_ARCHITECTURES, found.major, found.minor)) {
    found.problem =
        card + ", and ajet was built for " AJET_CUDA_ARCHITECTURES " (`npx ajet build --cuda` builds for all)";
  }
  return found;
}

// Code for a card runs on those of its major version that are no older; PTX is translated for all that are no older.
bool has_code_for(std::string_view architectures, int major, int minor) {
  const int card = 10 * major + minor;
  while (!architectures.empty()) {
    const size_t end = std::min(architectures.find(", "), architectures.size());
    const std::string_view one = architectures.substr(0, end);
    int number = 0;
    const char* suffix = std::from_chars(one.data(), one.data() + one.size(), number).ptr;
    const char kind = suffix == one.data() + one.size() ? ' ' : *suffix;
    const bool runs = kind == 'a' ? card == number : card >= number && (kind == '+' || major == number / 10);
    if (runs) return true;
    architectures.remove_prefix(std::min(end + 2, architectures.size()));
  }
  return false;
}

CudaProbe probe() {
  CudaProbe result;
  result.architectures = AJET_CUDA_ARCHITECTURES;
  static_cast<void>(cudaRuntimeGetVersion(&result.runtime_version));
  static_cast<void>(cudaDriverGetVersion(&result.driver_version));
  find_cublaslt(result);
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  static_cast<void>(cudaGetLastError());
  if (result.driver_version == 0) {
    result.problem = "no NVIDIA driver answers";
  } else if (error != cudaSuccess) {
    result.problem = "the driver (CUDA " + version_text(result.driver_version) +
                     ") says: " + cudaGetErrorString(error) + "; ajet was built with CUDA " +
                     version_text(result.runtime_version);
  } else if (count == 0) {
    result.problem = "the driver knows no card";
  }
  for (int device = 0; result.problem.empty() && device < count; ++device)
    result.devices.push_back(describe_device(device));
  return result;
}

}  // namespace ajet::cuda
