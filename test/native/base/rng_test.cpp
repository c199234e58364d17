#include "base/rng.h"

#include <array>

#include "check.h"

using namespace ajet;

// Known answers of philox4x32_10 in the authors' Random123 (tests/kat_vectors).
TEST("philox known answers") {
  const std::array<uint32_t, 4> zeros = {0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U};
  CHECK(philox4x32(0, 0, 0) == zeros);
  const std::array<uint32_t, 4> ones = {0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU};
  CHECK(philox4x32(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}) == ones);
  const std::array<uint32_t, 4> digits_of_pi = {0xd16cfe09U, 0x94fdccebU, 0x5001e420U, 0x24126ea1U};
  CHECK(philox4x32(0x299f31d0a4093822U, 0x85a308d3243f6a88U, 0x0370734413198a2eU) == digits_of_pi);
}

TEST("uniform is uniform and depends on every argument") {
  constexpr int samples = 200000, bins = 50;
  std::array<int, bins> histogram{};
  double sum = 0, sum_of_products = 0, previous = uniform_double(7, samples);
  for (int i = 0; i < samples; ++i) {
    const double u = uniform_double(7, static_cast<uint64_t>(i));
    CHECK(u >= 0 && u < 1);
    ++histogram[static_cast<size_t>(u * bins)];
    sum += u;
    sum_of_products += (u - 0.5) * (previous - 0.5);
    previous = u;
  }
  CHECK_LE(std::abs(sum / samples - 0.5), 5 * std::sqrt(1.0 / 12 / samples));
  CHECK_LE(std::abs(sum_of_products / samples), 5.0 / 12 / std::sqrt(samples));
  double chi_squared = 0;
  const double expected = static_cast<double>(samples) / bins;
  for (int count : histogram) chi_squared += (count - expected) * (count - expected) / expected;
  CHECK_LE(chi_squared, (bins - 1) + 5 * std::sqrt(2.0 * (bins - 1)));

  const double base = uniform_double(1, 2, 3);
  CHECK(base == uniform_double(1, 2, 3));
  CHECK(base != uniform_double(2, 2, 3));
  CHECK(base != uniform_double(1, 3, 3));
  CHECK(base != uniform_double(1, 2, 4));
}

TEST("normal has the moments of a standard normal") {
  constexpr int samples = 200000;
  std::array<double, 4> moments{};
  for (int i = 0; i < samples; ++i) {
    const double z = normal_double(11, static_cast<uint64_t>(i), 5);
    double power = 1;
    for (double& moment : moments) moment += (power *= z) / samples;
  }
  const double tolerance = 5 / std::sqrt(samples);
  CHECK_LE(std::abs(moments[0]), tolerance);                        // variance of z: 1
  CHECK_LE(std::abs(moments[1] - 1), tolerance * std::sqrt(2.0));   // of z²: 2
  CHECK_LE(std::abs(moments[2]), tolerance * std::sqrt(15.0));      // of z³: 15
  CHECK_LE(std::abs(moments[3] - 3), tolerance * std::sqrt(96.0));  // of z⁴: 105 - 9
}
