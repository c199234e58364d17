// The named losses and what each loss honours.
#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "train/policy_loss.h"

namespace ajet {

namespace {

LossConfig ajet_loss() { return {}; }

// PPO's clip at 0.2 on both sides with z-scored rewards, equal groups kept: the common base of the references.
LossConfig reference_loss(Aggregation aggregation, double std_epsilon) {
  LossConfig config;
  config.aggregation = aggregation;
  config.clip_low = config.clip_high = 0.2;
  config.advantage.std_epsilon = std_epsilon;
  config.advantage.drop_equal_groups = false;
  return config;
}

LossConfig agentjet_loss() {
  LossConfig config = reference_loss(Aggregation::row_mean_token_mean, 1e-6);
  config.dual_clip = 3.0;
  config.kl = KlKind::k3;
  config.kl_coef = 0.002;
  return config;
}

LossConfig trl_grpo_loss() { return reference_loss(Aggregation::row_mean_token_mean, 1e-4); }
LossConfig trl_dapo_loss() { return reference_loss(Aggregation::token_mean, 1e-4); }

// The caller sets max_response_length.
LossConfig dr_grpo_loss() {
  LossConfig config = reference_loss(Aggregation::token_sum_fixed, 0.0);
  config.advantage.scale = AdvantageScale::none;
  return config;
}

LossConfig verl_grpo_loss() {
  LossConfig config = reference_loss(Aggregation::token_mean, 1e-6);
  config.dual_clip = 3.0;
  return config;
}

LossConfig gspo_loss() {
  LossConfig config = reference_loss(Aggregation::row_mean_token_mean, 1e-6);
  config.level = RatioLevel::sequence;
  config.clip_low = 3e-4;
  config.clip_high = 4e-4;
  return config;
}

LossConfig cispo_loss() {
  LossConfig config = reference_loss(Aggregation::token_mean, 1e-6);
  config.kind = LossKind::cispo;
  config.cispo_low = 0.0;
  config.cispo_high = 5.0;
  return config;
}

LossConfig sft_loss() {
  LossConfig config = reference_loss(Aggregation::token_mean, 0.0);
  config.kind = LossKind::cross_entropy;
  return config;
}

constexpr std::array<std::pair<const char*, LossConfig (*)()>, 9> presets{{{"ajet", ajet_loss},
                                                                           {"agentjet", agentjet_loss},
                                                                           {"trl-grpo", trl_grpo_loss},
                                                                           {"trl-dapo", trl_dapo_loss},
                                                                           {"dr-grpo", dr_grpo_loss},
                                                                           {"verl-grpo", verl_grpo_loss},
                                                                           {"gspo", gspo_loss},
                                                                           {"cispo", cispo_loss},
                                                                           {"sft", sft_loss}}};

void expect(bool condition, const std::string& message) {
  if (!condition) fail(ErrorCode::invalid_argument, "[policy_loss] " + message);
}

void expect_finite(double value, double low, const char* name) {
  expect(std::isfinite(value) && value >= low, std::string("Expected a finite number >= ") + std::to_string(low) +
                                                   " for `" + name + "` but received " + std::to_string(value));
}

}  // namespace

std::vector<std::string> loss_preset_names() {
  std::vector<std::string> names;
  for (const auto& [name, make] : presets) names.emplace_back(name);
  return names;
}

LossConfig loss_preset(const std::string& name) {
  std::string known;
  for (const auto& [preset, make] : presets) {
    if (name == preset) return make();
    known += (known.empty() ? "" : ", ") + std::string(preset);
  }
  fail(ErrorCode::invalid_argument, "[loss_preset] Expected one of " + known + " but received " + name);
}

void check_loss_config(const LossConfig& config) {
  expect_finite(config.clip_low, 0.0, "clip_low");
  expect_finite(config.clip_high, 0.0, "clip_high");
  expect_finite(config.cispo_low, 0.0, "cispo_low");
  expect_finite(config.cispo_high, config.cispo_low, "cispo_high");
  expect_finite(config.kl_coef, 0.0, "kl_coef");
  expect_finite(config.max_response_length, 0.0, "max_response_length");
  expect(std::isfinite(config.entropy_coef),
         "Expected a finite `entropy_coef` but received " + std::to_string(config.entropy_coef));
  expect(config.dual_clip == 0.0 || (std::isfinite(config.dual_clip) && config.dual_clip > 1.0),
         "Expected 0 (off) or a number > 1 for `dual_clip` but received " + std::to_string(config.dual_clip));
  const bool clipped = config.kind == LossKind::clipped;
  expect(clipped || config.dual_clip == 0.0, "`dual_clip` needs the clipped loss; set it to 0 for this one");
  expect(clipped || config.level == RatioLevel::token,
         "`level` sequence needs the clipped loss; set it to token for this one");
  expect(config.kl != KlKind::none || config.kl_coef == 0.0,
         "`kl_coef` is " + std::to_string(config.kl_coef) + " but `kl` is none; choose k1, k2 or k3");
  const bool fixed = config.aggregation == Aggregation::token_sum_fixed;
  expect(!fixed || config.max_response_length > 0.0,
         "Expected `max_response_length` > 0 for the fixed token sum but received 0");
  expect(fixed || config.max_response_length == 0.0,
         "`max_response_length` is used by the fixed token sum alone; set it to 0 for this aggregation");
}

}  // namespace ajet
