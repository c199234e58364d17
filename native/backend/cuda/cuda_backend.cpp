#include "backend/cuda/cuda_backend.h"

#include <cstdlib>
#include <cstring>

#include "backend/cuda/probe.h"
#include "base/error.h"

namespace ajet::cuda {
namespace {

// Members are made after this: they belong to the card that is current on their thread.
CudaDevice select_device(int device) {
  make_current(device);
  return describe_device(device);
}

ProductUnit choose_unit(const CudaOptions& options, const CudaDevice& device) {
  if (!options.warpgroup_products) return ProductUnit::warp;
  if (device.major == 9 && device.minor == 0) return ProductUnit::warpgroup;
  fail(ErrorCode::device, "[cuda] Products by warpgroups need compute capability 9.0, but " + device.name + " has " +
                              std::to_string(device.major) + "." + std::to_string(device.minor) +
                              ": unset AJET_CUDA_WGMMA");
}

bool is_set_to(const char* variable, const char* wanted) {
  const char* value = std::getenv(variable);
  return value != nullptr && std::strcmp(value, wanted) == 0;
}

}  // namespace

CudaBackend::CudaBackend(const CudaOptions& options)
    : options_(options),
      device_(select_device(options.device)),
      stream_(options.device, is_set_to("AJET_CUDA_SYNCHRONOUS", "1")),
      arena_(options.device, options.memory_limit_bytes),
      host_memory_(options.device),
      transfers_(stream_),
      arguments_(stream_, arena_),
      graphs_(stream_, arena_, transfers_, !stream_.is_synchronous() && !is_set_to("AJET_CUDA_GRAPHS", "0")),
      product_unit_(choose_unit(options, device_)) {
  arena_.set_relief([this] { graphs_.release(); });
}

CudaBackend::~CudaBackend() {
  stream_.drain();
  if (rope_table_ != nullptr) arena_.free(rope_table_, rope_table_bytes_);
  if (split_arrivals_ != nullptr) arena_.free(split_arrivals_, max_split_tiles * sizeof(uint32_t));
}

std::string CudaBackend::name() const { return "cuda:" + std::to_string(options_.device); }

std::string CudaBackend::description() const {
  return name() + ", " + device_.name + ", " + std::to_string(device_.memory_bytes >> 30) + " GiB, " +
         (compute_dtype() == DType::bf16 ? "bfloat16" : "float32");
}

MemoryUse CudaBackend::memory() const {
  return {.active_bytes = arena_.active_bytes(),
          .peak_bytes = arena_.peak_bytes(),
          .limit_bytes = arena_.limit_bytes(),
          .buffer_bytes = buffer_bytes(),
          .host_bytes = host_memory_.bytes()};
}

void CudaBackend::upload(void* device, const void* host, size_t bytes) { transfers_.upload(device, host, bytes); }

void CudaBackend::download(void* host, const void* device, size_t bytes) { transfers_.download(host, device, bytes); }

void CudaBackend::copy(void* device_to, const void* device_from, size_t bytes) {
  if (bytes == 0) return;
  AJET_CUDA(cudaMemcpyAsync(device_to, device_from, bytes, cudaMemcpyDefault, stream_.handle()));
}

void CudaBackend::zero(void* device, size_t bytes) {
  if (bytes > 0) AJET_CUDA(cudaMemsetAsync(device, 0, bytes, stream_.handle()));
}

std::unique_ptr<Readback> CudaBackend::make_readback(size_t max_bytes) {
  make_current(options_.device);
  return std::make_unique<PinnedReadback>(stream_, max_bytes);
}

void* CudaBackend::do_allocate(size_t bytes) {
  void* data = arena_.allocate(bytes);
  zero(data, bytes);
  return data;
}

void CudaBackend::do_free(void* data, size_t bytes) noexcept { arena_.free(data, bytes); }

std::shared_ptr<Backend> make_cuda_backend(const CudaOptions& options) {
  return std::make_shared<CudaBackend>(options);
}

}  // namespace ajet::cuda
