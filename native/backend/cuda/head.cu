// TODO: log-sum-exp, entropy, log-probs and their gradient.
#include "backend/cuda/cuda_backend.h"

namespace ajet::cuda {

void CudaBackend::do_log_sum_exp(std::span<float>, std::span<float>, Tensor, std::span<const float>) {
  fail_missing("log_sum_exp", "such op yet");
}

void CudaBackend::do_gather_logprobs(std::span<float>, Tensor, std::span<const float>, std::span<const float>,
                                     std::span<const int32_t>, std::span<const int32_t>) {
  fail_missing("gather_logprobs", "such op yet");
}

void CudaBackend::do_logits_backward(Tensor, std::span<const float>, std::span<const float>, std::span<const float>,
                                     std::span<const float>, std::span<const int32_t>, std::span<const int32_t>,
                                     std::span<const float>) {
  fail_missing("logits_backward", "such op yet");
}

}  // namespace ajet::cuda
