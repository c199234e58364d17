// Advantages within groups of episodes; every episode counts once. Formulas: design.md "Losses".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ajet {

enum class AdvantageScale : uint8_t { none = 0, group = 1, batch = 2 };

struct AdvantageConfig {
  AdvantageScale scale = AdvantageScale::group;
  int32_t std_ddof = 1;           // 0 or 1
  double std_epsilon = 1e-6;      // added to the standard deviation
  bool drop_equal_groups = true;  // groups whose rewards are all equal get kept[i] = false
};

struct Advantages {
  std::vector<double> values;  // [episodes]
  std::vector<uint8_t> kept;   // [episodes]; 0: left out of the loss and of every denominator
};

// rewards finite, groups any ids. A group of one episode has advantage 0 (and is left out with drop_equal_groups).
Advantages compute_advantages(std::span<const double> rewards, std::span<const int32_t> groups,
                              const AdvantageConfig& config);

}  // namespace ajet
