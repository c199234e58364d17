// The backends under test, random values, and the check that results are the same bits on all of them.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/rng.h"
#include "check.h"
#include "matrices.h"

namespace ajet::test {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

// One backend for every instruction set that this machine has.
inline std::vector<std::shared_ptr<Backend>> backends() {
  std::vector<std::shared_ptr<Backend>> all;
  for (const std::string& isa : available_isas()) all.push_back(make_cpu_backend(2, isa));
  return all;
}

inline Floats random_floats(uint64_t seed, int64_t count, double scale = 1.0) {
  Floats values(count);
  for (int64_t i = 0; i < count; ++i) values[i] = static_cast<float>(scale * normal_double(seed, i));
  return values;
}

inline bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The op's outputs are the same bits for 1, 2 and 3 threads on each instruction set, and on avx2 and avx512.
// `run` returns all outputs, concatenated.
template <typename Run>
void check_same_bits_everywhere(const Run& run) {
  Floats avx2;
  for (const std::string& isa : available_isas()) {
    const Floats expected = run(make_cpu_backend(1, isa));
    for (const int threads : {2, 3}) CHECK(same_bits(run(make_cpu_backend(threads, isa)), expected));
    if (isa == "avx2") avx2 = expected;
    if (isa == "avx512") CHECK(same_bits(expected, avx2));
  }
}

inline void append(Floats& to, const Floats& from) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace ajet::test
