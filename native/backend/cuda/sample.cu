// TODO: draws and the most likely tokens.
#include "backend/cuda/cuda_backend.h"

namespace ajet::cuda {

void CudaBackend::do_sample(std::span<int32_t>, std::span<float>, Tensor, std::span<const SampleRow>) {
  fail_missing("sample", "such op yet");
}

void CudaBackend::do_top_logprobs(std::span<int32_t>, std::span<float>, Tensor, int64_t, float) {
  fail_missing("top_logprobs", "such op yet");
}

}  // namespace ajet::cuda
