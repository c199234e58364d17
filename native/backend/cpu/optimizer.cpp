// Updates over flat storage, in fixed blocks of elements.
#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/cpu/cpu_backend.h"

namespace ajet::cpu {
namespace {

constexpr int64_t block_elements = 65536;

template <typename Body>
void parallel_blocks(ThreadPool& pool, int64_t elements, const Body& body) {
  pool.parallel_for((elements + block_elements - 1) / block_elements, [&](int64_t block) {
    const int64_t first = block * block_elements;
    body(block, first, std::min(block_elements, elements - first));
  });
}

}  // namespace

double CpuBackend::sum_squares(const float* x, int64_t elements) {
  std::vector<double> parts((elements + block_elements - 1) / block_elements);
  parallel_blocks(pool_, elements, [&](int64_t block, int64_t first, int64_t count) {
    parts[block] = k_.sum_squares(x + first, count);
  });
  double total = 0;
  for (const double part : parts) total += part;
  return total;
}

void CpuBackend::adamw(float* w, float* m, float* v, const float* gradient, int64_t elements, const AdamwArgs& args) {
  const double beta1 = args.beta1, beta2 = args.beta2, rate = args.learning_rate;
  const double step = static_cast<double>(args.step);
  const AdamwStep constants{
      .gradient_scale = args.gradient_scale,
      .beta1 = args.beta1,
      .one_minus_beta1 = static_cast<float>(1.0 - beta1),
      .beta2 = args.beta2,
      .one_minus_beta2 = static_cast<float>(1.0 - beta2),
      .decay = static_cast<float>(1.0 - rate * static_cast<double>(args.weight_decay)),
      .step_size = static_cast<float>(rate / (1.0 - std::pow(beta1, step))),
      .root_correction = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(beta2, step))),
      .epsilon = args.epsilon,
  };
  parallel_blocks(pool_, elements, [&](int64_t, int64_t first, int64_t count) {
    k_.adamw(w + first, m + first, v + first, gradient + first, count, constants);
  });
}

void CpuBackend::axpy(float* y, float a, const float* x, int64_t elements) {
  parallel_blocks(pool_, elements,
                  [&](int64_t, int64_t first, int64_t count) { k_.axpy(y + first, a, x + first, count); });
}

}  // namespace ajet::cpu
