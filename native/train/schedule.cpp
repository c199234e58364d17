#include <algorithm>
#include <cmath>
#include <numbers>

#include "train/trainer.h"

namespace ajet {

double learning_rate_at(const OptimizerConfig& config, int64_t step) {
  if (step < config.warmup_steps)
    return config.learning_rate * static_cast<double>(step + 1) / static_cast<double>(config.warmup_steps);
  if (config.schedule == Schedule::constant) return config.learning_rate;
  const auto span = static_cast<double>(std::max<int64_t>(config.total_steps - config.warmup_steps, 1));
  const double progress = std::min(static_cast<double>(step - config.warmup_steps) / span, 1.0);
  const double remaining =
      config.schedule == Schedule::linear ? 1.0 - progress : 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return config.learning_rate * (config.final_ratio + (1.0 - config.final_ratio) * remaining);
}

}  // namespace ajet
