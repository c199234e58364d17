// The suite on the CUDA backend's kernels, run by the emulator: in bf16 and in fp32.
#include "backend/cuda/cuda_backend.h"
#include "backend_fixture.h"
#include "cuda_emulator/machine.h"

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
    // The second has the least shared memory that there is, and so other tiles.
    auto& equals = groups.emplace_back();
    const size_t most = emulator::shared_limit();
    for (const size_t limit : {most, size_t{99} << 10}) {
      emulator::set_shared_limit(limit);
      equals.push_back(cuda::make_cuda_backend(options));
    }
    emulator::set_shared_limit(most);
  }
  return groups;
}

bool is_slow(const Backend&) { return true; }

}  // namespace ajet::test
