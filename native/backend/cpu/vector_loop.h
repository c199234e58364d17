// Loops over n floats in vectors of 16, written once for whole vectors and the partial last one. Compiled once per
// instruction set.
#pragma once

#include "backend/cpu/simd.h"

namespace ajet::cpu::AJET_ISA {

struct WholeVector {
  F32x16 load(const float* p) const { return AJET_ISA::load(p); }
  void store(float* p, F32x16 a) const { AJET_ISA::store(p, a); }
};

// Lanes behind `lanes` load as 0 and are not stored.
struct PartialVector {
  int lanes;
  F32x16 load(const float* p) const { return load_partial(p, lanes); }
  void store(float* p, F32x16 a) const { store_partial(p, a, lanes); }
};

// Calls body(i, vector) for i = 0, 16, ... below n, where vector loads and stores what is left from i on.
template <typename Body>
AJET_INLINE void for_vectors(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) body(i, WholeVector{});
  if (i < n) body(i, PartialVector{static_cast<int>(n - i)});
}

}  // namespace ajet::cpu::AJET_ISA
