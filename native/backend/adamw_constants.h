// AdamW's constants from an update's arguments, the same for every device: computed in double, rounded once.
#pragma once

#include <cmath>

#include "backend/adamw_step.h"
#include "backend/backend.h"

namespace ajet {

inline AdamwStep adamw_step(const AdamwArgs& args) {
  const double beta1 = args.beta1, beta2 = args.beta2, rate = args.learning_rate;
  const double step = static_cast<double>(args.step);
  return {
      .gradient_scale = args.gradient_scale,
      .beta1 = args.beta1,
      .one_minus_beta1 = static_cast<float>(1.0 - beta1),
      .beta2 = args.beta2,
      .one_minus_beta2 = static_cast<float>(1.0 - beta2),
      .decay = static_cast<float>(1.0 - rate * static_cast<double>(args.weight_decay)),
      .step_size = static_cast<float>(rate / (1.0 - std::pow(beta1, step))),
      .root_correction = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(beta2, step))),
      .epsilon = args.epsilon,
  };
}

}  // namespace ajet
