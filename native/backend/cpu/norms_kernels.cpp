// Compiled once per instruction set: RMS norm (Zhang & Sennrich 2019) of the groups of one row, forward and backward.
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"
#include "backend/cpu/vector_loop.h"

namespace ajet::cpu::AJET_ISA {
namespace {

// 1 / sqrt(mean(x²) + eps)
float inverse_rms(const float* x, int64_t width, float eps) {
  F32x16 squares = zero();
  for_vectors(width, [&](int64_t i, auto vector) {
    const F32x16 value = vector.load(x + i);
    squares = fma(value, value, squares);
  });
  return 1.0F / __builtin_sqrtf(sum(squares) / static_cast<float>(width) + eps);
}

void rmsnorm(float* y, const float* x, const float* weight, int64_t groups, int64_t width, float eps) {
  for (int64_t g = 0; g < groups; ++g, x += width, y += width) {
    const F32x16 scale = broadcast(inverse_rms(x, width, eps));
    for_vectors(width, [&](int64_t i, auto vector) {
      vector.store(y + i, mul(mul(vector.load(x + i), scale), vector.load(weight + i)));
    });
  }
}

// With r = inverse_rms(x): dx = r * dy * w - x * r³ / width * Σ dy * w * x;  dweight += dy * x * r
void rmsnorm_backward(float* dx, float* dweight, const float* dy, const float* x, const float* weight, int64_t groups,
                      int64_t width, float eps, bool accumulate) {
  for (int64_t g = 0; g < groups; ++g, x += width, dy += width, dx += width) {
    const float r = inverse_rms(x, width, eps);
    F32x16 dot = zero();
    for_vectors(width, [&](int64_t i, auto vector) {
      dot = fma(mul(vector.load(dy + i), vector.load(weight + i)), vector.load(x + i), dot);
    });
    const F32x16 scale = broadcast(r), pull = broadcast(sum(dot) / static_cast<float>(width) * r * r * r);
    for_vectors(width, [&](int64_t i, auto vector) {
      const F32x16 gradient = vector.load(dy + i), value = vector.load(x + i);
      vector.store(dweight + i, fma(gradient, mul(value, scale), vector.load(dweight + i)));
      F32x16 result = fnma(value, pull, mul(mul(gradient, vector.load(weight + i)), scale));
      if (accumulate) result = add(vector.load(dx + i), result);
      vector.store(dx + i, result);
    });
  }
}

}  // namespace

void fill_norms(Kernels& table) {
  table.rmsnorm = rmsnorm;
  table.rmsnorm_backward = rmsnorm_backward;
}

}  // namespace ajet::cpu::AJET_ISA
