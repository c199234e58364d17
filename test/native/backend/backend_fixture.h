// Random values, and the check that results are the same bits on all backends under test.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backends.h"
#include "base/rng.h"
#include "check.h"
#include "matrices.h"

namespace ajet::test {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

inline Floats random_floats(uint64_t seed, int64_t count, double scale = 1.0) {
  Floats values(count);
  for (int64_t i = 0; i < count; ++i) values[i] = static_cast<float>(scale * normal_double(seed, i));
  return values;
}

inline bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The op's outputs are the same bits on backends that promise it. `run` returns all outputs, concatenated.
template <typename Run>
void check_same_bits_everywhere(const Run& run) {
  for (const auto& equals : equal_backends()) {
    const Floats expected = run(equals.front());
    for (const auto& backend : equals) CHECK(same_bits(run(backend), expected));
  }
}

inline void append(Floats& to, const Floats& from) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace ajet::test
