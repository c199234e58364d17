// Compiled once per instruction set: optimizer steps over a range of storage, a multiple of 16 elements.
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

namespace ajet::cpu::AJET_ISA {
namespace {

// Σ x² in 16 double lanes
double sum_squares(const float* x, int64_t n) {
  double lanes[16] = {};
  for (int64_t i = 0; i < n; i += 16)
    for (int lane = 0; lane < 16; ++lane) {
      const double value = x[i + lane];
      lanes[lane] += value * value;
    }
  for (int width = 8; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  return lanes[0];
}

void adamw(float* w, float* m, float* v, const float* gradient, int64_t n, const AdamwStep& step) {
  const F32x16 scale = broadcast(step.gradient_scale), beta1 = broadcast(step.beta1), beta2 = broadcast(step.beta2);
  const F32x16 rest1 = broadcast(step.one_minus_beta1), rest2 = broadcast(step.one_minus_beta2);
  const F32x16 decay = broadcast(step.decay), step_size = broadcast(step.step_size);
  const F32x16 root_correction = broadcast(step.root_correction), epsilon = broadcast(step.epsilon);
  for (int64_t i = 0; i < n; i += 16) {
    const F32x16 g = mul(load(gradient + i), scale);
    const F32x16 first = fma(beta1, load(m + i), mul(rest1, g));
    const F32x16 second = fma(beta2, load(v + i), mul(rest2, mul(g, g)));
    const F32x16 divisor = fma(sqrt(second), root_correction, epsilon);
    const F32x16 decayed = mul(load(w + i), decay);
    store(m + i, first);
    store(v + i, second);
    store(w + i, fnma(step_size, div(first, divisor), decayed));
  }
}

void axpy(float* y, float a, const float* x, int64_t n) {
  const F32x16 factor = broadcast(a);
  for (int64_t i = 0; i < n; i += 16) store(y + i, fma(factor, load(x + i), load(y + i)));
}

}  // namespace

void fill_optimizer(Kernels& table) {
  table.sum_squares = sum_squares;
  table.adamw = adamw;
  table.axpy = axpy;
}

}  // namespace ajet::cpu::AJET_ISA
