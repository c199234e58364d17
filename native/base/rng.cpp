#include "base/rng.h"

#include <cmath>
#include <numbers>

namespace ajet {
namespace {

// One multiplication of a Philox round: high and low word of a 32 x 32 product.
struct Product {
  uint32_t high;
  uint32_t low;
};
Product multiply(uint32_t a, uint32_t b) {
  const uint64_t product = static_cast<uint64_t>(a) * b;
  return {static_cast<uint32_t>(product >> 32), static_cast<uint32_t>(product)};
}

// The upper 53 of 64 bits, as a number in [0, 1).
double unit_interval(uint32_t high, uint32_t low) {
  const uint64_t bits = (static_cast<uint64_t>(high) << 32) | low;
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

}  // namespace

std::array<uint32_t, 4> philox4x32(uint64_t key, uint64_t counter_low, uint64_t counter_high) {
  constexpr uint32_t multiplier0 = 0xD2511F53U, multiplier1 = 0xCD9E8D57U;
  constexpr uint32_t weyl0 = 0x9E3779B9U, weyl1 = 0xBB67AE85U;
  auto key0 = static_cast<uint32_t>(key);
  auto key1 = static_cast<uint32_t>(key >> 32);
  std::array<uint32_t, 4> c = {static_cast<uint32_t>(counter_low), static_cast<uint32_t>(counter_low >> 32),
                               static_cast<uint32_t>(counter_high), static_cast<uint32_t>(counter_high >> 32)};
  for (int round = 0; round < 10; ++round) {
    const Product p0 = multiply(multiplier0, c[0]);
    const Product p1 = multiply(multiplier1, c[2]);
    c = {p1.high ^ c[1] ^ key0, p1.low, p0.high ^ c[3] ^ key1, p0.low};
    key0 += weyl0;
    key1 += weyl1;
  }
  return c;
}

double uniform_double(uint64_t key, uint64_t counter, uint64_t stream) {
  const auto words = philox4x32(key, counter, stream);
  return unit_interval(words[1], words[0]);
}

double normal_double(uint64_t key, uint64_t counter, uint64_t stream) {
  const auto words = philox4x32(key, counter, stream);
  const double radius_uniform = 1.0 - unit_interval(words[1], words[0]);  // (0, 1]: its logarithm is finite
  const double angle_uniform = unit_interval(words[3], words[2]);
  return std::sqrt(-2.0 * std::log(radius_uniform)) * std::cos(2.0 * std::numbers::pi * angle_uniform);
}

}  // namespace ajet
