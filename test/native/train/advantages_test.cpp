#include "train/advantages.h"

#include <cmath>
#include <set>

#include "fixtures.h"

namespace ajet::test {

TEST("advantages: the presets equal PyTorch's on random and degenerate groups") {
  std::set<std::string> presets;
  for (const Json& fixture : load_cases("advantages.json")) {
    presets.insert(text(fixture, "preset"));
    const auto result = compute_advantages(numbers<double>(fixture, "rewards"), numbers<int32_t>(fixture, "groups"),
                                           read_config(fixture).advantage);
    const auto values = numbers<double>(fixture, "values");
    CHECK_EQ(result.values.size(), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      CHECK_LE(std::abs(result.values[i] - values[i]), 1e-12 * std::max(1.0, std::abs(values[i])));
    }
    CHECK(result.kept == numbers<uint8_t>(fixture, "kept"));
  }
  CHECK_EQ(presets.size(), loss_preset_names().size() - 1);  // all but sft, which has none
}

TEST("advantages: one episode, equal rewards and none left are exactly zero and left out as configured") {
  const std::vector<double> rewards{0.3, 0.1, 0.1, 0.1};
  const std::vector<int32_t> groups{4, 1, 1, 1};
  for (const bool drop : {true, false}) {
    const auto result = compute_advantages(rewards, groups, {.drop_equal_groups = drop});
    for (size_t i = 0; i < rewards.size(); ++i) {
      CHECK_EQ(result.values[i], 0.0);
      CHECK_EQ(result.kept[i], drop ? 0 : 1);
    }
  }
  CHECK(compute_advantages({}, {}, {}).values.empty());
}

TEST("advantages: what is out of range is refused") {
  const std::vector<double> rewards{1.0, std::nan("")};
  const std::vector<int32_t> groups{0, 0}, short_groups{0};
  CHECK_ERROR(compute_advantages(rewards, groups, {}), "finite `rewards` but received nan at index 1");
  CHECK_ERROR(compute_advantages(rewards, short_groups, {}), "`groups` of 2 values but received 1");
  CHECK_ERROR(compute_advantages({}, {}, {.std_ddof = 2}), "`std_ddof` but received 2");
  CHECK_ERROR(compute_advantages({}, {}, {.std_epsilon = -1.0}), "`std_epsilon`");
}

}  // namespace ajet::test
