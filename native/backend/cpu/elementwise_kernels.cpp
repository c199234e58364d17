// Compiled once per instruction set: SwiGLU (Shazeer 2020), rotary embedding and sums, one row at a time.
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"
#include "backend/cpu/vector_loop.h"

namespace ajet::cpu::AJET_ISA {
namespace {

AJET_INLINE F32x16 sigmoid(F32x16 x) { return div(broadcast(1.0F), add(broadcast(1.0F), exp(sub(zero(), x)))); }

void swiglu(float* y, const float* gate, const float* up, int64_t n) {
  for_vectors(n, [&](int64_t i, auto vector) {
    const F32x16 g = vector.load(gate + i);
    vector.store(y + i, mul(mul(g, sigmoid(g)), vector.load(up + i)));
  });
}

// silu'(g) = s * (1 + g * (1 - s)), s = sigmoid(g)
void swiglu_backward(float* dgate, float* dup, float* y, const float* dy, const float* gate, const float* up,
                     int64_t n) {
  const F32x16 one = broadcast(1.0F);
  for_vectors(n, [&](int64_t i, auto vector) {
    const F32x16 g = vector.load(gate + i), u = vector.load(up + i), d = vector.load(dy + i);
    const F32x16 s = sigmoid(g);
    const F32x16 slope = mul(s, fma(g, sub(one, s), one));
    vector.store(dgate + i, mul(mul(d, u), slope));
    vector.store(dup + i, mul(d, mul(g, s)));
    vector.store(y + i, mul(mul(g, s), u));
  });
}

// The pair (x[i], x[i + half]) of each head turns by an angle; the sines change sign where direction is -1.
void rope(float* x, int64_t heads, int64_t half, const float* cosines, const float* sines, float direction) {
  const F32x16 sign = broadcast(direction);
  for (int64_t head = 0; head < heads; ++head, x += 2 * half) {
    for_vectors(half, [&](int64_t i, auto vector) {
      const F32x16 c = vector.load(cosines + i), s = mul(vector.load(sines + i), sign);
      const F32x16 a = vector.load(x + i), b = vector.load(x + half + i);
      vector.store(x + i, fnma(b, s, mul(a, c)));
      vector.store(x + half + i, fma(a, s, mul(b, c)));
    });
  }
}

void add_to(float* y, const float* x, int64_t n) {
  for_vectors(n, [&](int64_t i, auto vector) { vector.store(y + i, add(vector.load(y + i), vector.load(x + i))); });
}

}  // namespace

void fill_elementwise(Kernels& table) {
  table.swiglu = swiglu;
  table.swiglu_backward = swiglu_backward;
  table.rope = rope;
  table.add = add_to;
}

}  // namespace ajet::cpu::AJET_ISA
