// The suite on the CUDA backend's kernels, run by the emulator: in bf16 and in fp32.
#include "backend/cuda/cuda_backend.h"
#include "backend_fixture.h"

namespace ajet::test {
namespace {
constexpr DType compute_dtypes[] = {DType::bf16, DType::f32};
}

std::vector<std::shared_ptr<Backend>> backends() {
  std::vector<std::shared_ptr<Backend>> all;
  for (const DType dtype : compute_dtypes) all.push_back(cuda::make_cuda_backend({.compute_dtype = dtype}));
  return all;
}

std::vector<std::vector<std::shared_ptr<Backend>>> equal_backends() {
  std::vector<std::vector<std::shared_ptr<Backend>>> groups;
  for (const DType dtype : compute_dtypes) {
    const cuda::CudaOptions options{.compute_dtype = dtype};
    groups.push_back({cuda::make_cuda_backend(options), cuda::make_cuda_backend(options)});
  }
  return groups;
}

bool is_slow(const Backend&) { return true; }

}  // namespace ajet::test
