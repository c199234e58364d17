#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/row_tasks.h"
#include "backend/cpu/token_logprob.h"

namespace ajet::cpu {

void CpuBackend::do_log_sum_exp(std::span<float> lse, std::span<float> entropy, Tensor logits,
                                std::span<const float> inverse_temperature) {
  parallel_rows(pool_, logits.rows, 8 * logits.cols, [&](int64_t row) {
    k_.log_sum_exp(&lse[row], entropy.empty() ? nullptr : &entropy[row], logits.f32() + row * logits.stride,
                   logits.cols, inverse_temperature[row]);
  });
}

void CpuBackend::do_gather_logprobs(std::span<float> out, Tensor logits, std::span<const float> inverse_temperature,
                                    std::span<const float> lse, std::span<const int32_t> row,
                                    std::span<const int32_t> token) {
  for (size_t t = 0; t < out.size(); ++t) {
    const int64_t r = row[t];
    out[t] = token_logprob(logits.f32() + r * logits.stride, token[t], inverse_temperature[r], lse[r]);
  }
}

void CpuBackend::do_logits_backward(Tensor logits, std::span<const float> inverse_temperature,
                                    std::span<const float> lse, std::span<const float> entropy,
                                    std::span<const float> dentropy, std::span<const int32_t> row,
                                    std::span<const int32_t> token, std::span<const float> dlogprob) {
  parallel_rows(pool_, logits.rows, 8 * logits.cols, [&](int64_t r) {
    const size_t begin = static_cast<size_t>(std::ranges::lower_bound(row, r) - row.begin());
    size_t end = begin;
    LogitsGradient gradient{inverse_temperature[r], lse[r], 0.0F, 0.0F, 0.0F};
    for (; end < row.size() && row[end] == r; ++end) gradient.dlogprob += dlogprob[end];
    if (!dentropy.empty()) {
      gradient.dentropy = dentropy[r];
      gradient.entropy = entropy[r];
    }
    float* x = logits.f32() + r * logits.stride;
    k_.logits_backward(x, logits.cols, gradient);
    for (size_t t = begin; t < end; ++t) x[token[t]] += inverse_temperature[r] * dlogprob[t];
  });
}

}  // namespace ajet::cpu
