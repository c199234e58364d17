#include "train/advantages.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"

namespace ajet {

namespace {

// 0 for fewer values than the divisor needs.
double standard_deviation(std::span<const double> values, double mean, int32_t ddof) {
  const auto divisor = static_cast<double>(values.size()) - ddof;
  if (divisor <= 0.0) return 0.0;
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / divisor);
}

double mean_of(std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return values.empty() ? 0.0 : sum / static_cast<double>(values.size());
}

void check_inputs(std::span<const double> rewards, std::span<const int32_t> groups, const AdvantageConfig& config) {
  if (groups.size() != rewards.size())
    fail(ErrorCode::invalid_argument, "[advantages] Expected `groups` of " + std::to_string(rewards.size()) +
                                          " values but received " + std::to_string(groups.size()));
  for (size_t i = 0; i < rewards.size(); ++i) {
    if (!std::isfinite(rewards[i]))
      fail(ErrorCode::invalid_argument, "[advantages] Expected finite `rewards` but received " +
                                            std::to_string(rewards[i]) + " at index " + std::to_string(i));
  }
  if (config.std_ddof != 0 && config.std_ddof != 1)
    fail(ErrorCode::invalid_argument,
         "[advantages] Expected 0 or 1 for `std_ddof` but received " + std::to_string(config.std_ddof));
  if (!(config.std_epsilon >= 0.0) || !std::isfinite(config.std_epsilon))
    fail(ErrorCode::invalid_argument,
         "[advantages] Expected a finite `std_epsilon` >= 0 but received " + std::to_string(config.std_epsilon));
}

}  // namespace

Advantages compute_advantages(std::span<const double> rewards, std::span<const int32_t> groups,
                              const AdvantageConfig& config) {
  check_inputs(rewards, groups, config);
  Advantages result{std::vector<double>(rewards.size(), 0.0), std::vector<uint8_t>(rewards.size(), 1)};
  std::map<int32_t, std::vector<size_t>> members;
  for (size_t i = 0; i < groups.size(); ++i) members[groups[i]].push_back(i);
  const double batch_std =
      config.scale == AdvantageScale::batch ? standard_deviation(rewards, mean_of(rewards), config.std_ddof) : 0.0;
  std::vector<double> values;
  for (const auto& [group, episodes] : members) {
    values.clear();
    for (const size_t i : episodes) values.push_back(rewards[i]);
    // Compared as they are: the mean of equal values may differ from them by a rounding.
    const bool all_equal = std::all_of(values.begin(), values.end(), [&](double v) { return v == values.front(); });
    if (all_equal) {
      for (const size_t i : episodes) result.kept[i] = config.drop_equal_groups ? 0 : 1;
      continue;
    }
    const double mean = mean_of(values);
    double divisor = 1.0;
    if (config.scale == AdvantageScale::group)
      divisor = standard_deviation(values, mean, config.std_ddof) + config.std_epsilon;
    if (config.scale == AdvantageScale::batch) divisor = batch_std + config.std_epsilon;
    for (const size_t i : episodes) result.values[i] = (rewards[i] - mean) / divisor;
  }
  return result;
}

}  // namespace ajet
