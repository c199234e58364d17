// Updates over flat storage, in fixed blocks of elements.
#include <algorithm>
#include <vector>

#include "backend/adamw_constants.h"
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
  const AdamwStep constants = adamw_step(args);
  parallel_blocks(pool_, elements, [&](int64_t, int64_t first, int64_t count) {
    k_.adamw(w + first, m + first, v + first, gradient + first, count, constants);
  });
}

void CpuBackend::axpy(float* y, float a, const float* x, int64_t elements) {
  parallel_blocks(pool_, elements,
                  [&](int64_t, int64_t first, int64_t count) { k_.axpy(y + first, a, x + first, count); });
}

}  // namespace ajet::cpu
