// Compiled once per instruction set: softmax over the vocabulary, one row at a time. z = logit * inverse temperature.
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"
#include "backend/cpu/vector_loop.h"

namespace ajet::cpu::AJET_ISA {
namespace {

// lse = max + log Σ exp(z - max), the sum in 16 lanes; entropy (where not null) = log Σ e - Σ e * (z - max) / Σ e
void log_sum_exp(float* lse, float* entropy, const float* logits, int64_t n, float inverse_temperature) {
  const F32x16 factor = broadcast(inverse_temperature), lowest = broadcast(-__builtin_inff());
  const int64_t whole = n / 16 * 16;
  const int rest = static_cast<int>(n - whole);
  F32x16 highest = lowest;
  for (int64_t i = 0; i < whole; i += 16) highest = max(highest, mul(load(logits + i), factor));
  if (rest > 0) {
    // Lanes behind n repeat the first logit, which changes no maximum.
    highest = max(highest, mul(load_partial(logits + whole, rest, logits[0]), factor));
  }
  const float max_z = max_lane(highest);
  const F32x16 shift = broadcast(max_z);
  F32x16 total = zero(), weighted = zero();
  if (entropy == nullptr) {
    for (int64_t i = 0; i < whole; i += 16) total = add(total, exp(sub(mul(load(logits + i), factor), shift)));
  } else {
    for (int64_t i = 0; i < whole; i += 16) {
      const F32x16 z = sub(mul(load(logits + i), factor), shift), e = exp(z);
      total = add(total, e);
      weighted = fma(e, z, weighted);
    }
  }
  if (rest > 0) {
    // Lanes behind n: e^-200 is 0, and 0 * -200 adds nothing to the entropy.
    float z[16];
    store(z, sub(mul(load_partial(logits + whole, rest), factor), shift));
    const F32x16 last = load_partial(z, rest, -200.0F), e = exp(last);
    total = add(total, e);
    weighted = fma(e, last, weighted);
  }
  const double sum_e = sum(total), log_sum = __builtin_log(sum_e);
  *lse = static_cast<float>(static_cast<double>(max_z) + log_sum);
  if (entropy != nullptr) *entropy = static_cast<float>(log_sum - static_cast<double>(sum(weighted)) / sum_e);
}

// p = exp(z - lse)
void softmax(float* p, const float* logits, int64_t n, float inverse_temperature, float lse) {
  const F32x16 factor = broadcast(inverse_temperature), shift = broadcast(lse);
  for_vectors(
      n, [&](int64_t i, auto vector) { vector.store(p + i, exp(sub(mul(vector.load(logits + i), factor), shift))); });
}

// logits = -inverse_temperature * p * (dlogprob + dentropy * (log p + entropy))
void logits_backward(float* logits, int64_t n, const LogitsGradient& row) {
  const F32x16 factor = broadcast(row.inverse_temperature), shift = broadcast(row.lse);
  const F32x16 dlogprob = broadcast(row.dlogprob), dentropy = broadcast(row.dentropy);
  const F32x16 entropy = broadcast(row.entropy), negated = broadcast(-row.inverse_temperature);
  for_vectors(n, [&](int64_t i, auto vector) {
    const F32x16 logprob = sub(mul(vector.load(logits + i), factor), shift);
    const F32x16 gradient = fma(dentropy, add(logprob, entropy), dlogprob);
    vector.store(logits + i, mul(mul(exp(logprob), gradient), negated));
  });
}

bool all_finite(const float* x, int64_t n) {
  // x * 0 is 0, or NaN where x is not finite.
  F32x16 total = zero();
  for_vectors(n, [&](int64_t i, auto vector) { total = fma(vector.load(x + i), zero(), total); });
  return sum(total) == 0.0F;
}

}  // namespace

void fill_head(Kernels& table) {
  table.log_sum_exp = log_sum_exp;
  table.softmax = softmax;
  table.logits_backward = logits_backward;
  table.all_finite = all_finite;
}

}  // namespace ajet::cpu::AJET_ISA
