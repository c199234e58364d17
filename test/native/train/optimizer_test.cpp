#include <cmath>
#include <map>
#include <numbers>

#include "check.h"
#include "step_fixture.h"
#include "train/trainer.h"

namespace ajet::test {
namespace {

// AdamW in float64 over Hugging Face tensors (Loshchilov & Hutter 2019; torch.optim.AdamW's order of operations).
struct ReferenceAdamW {
  OptimizerConfig config;
  std::map<std::string, std::vector<double>> w, m, v;

  explicit ReferenceAdamW(const OptimizerConfig& config_, const ParameterArena& weights) : config(config_) {
    std::vector<float> values;
    for (const ParameterSlice& slice : weights.layout().slices) {
      weights.read(slice, values);
      w[slice.hf_name].assign(values.begin(), values.end());
      m[slice.hf_name].assign(values.size(), 0.0);
      v[slice.hf_name].assign(values.size(), 0.0);
    }
  }

  double step(const ParameterArena& gradients, int64_t count, double learning_rate) {
    std::vector<float> g;
    double squares = 0.0;
    for (const ParameterSlice& slice : gradients.layout().slices) {
      gradients.read(slice, g);
      for (const float value : g) squares += static_cast<double>(value) * static_cast<double>(value);
    }
    const double norm = std::sqrt(squares);
    const double clip = config.max_grad_norm > 0.0 ? std::min(1.0, config.max_grad_norm / (norm + 1e-6)) : 1.0;
    const auto t = static_cast<double>(count);
    for (const ParameterSlice& slice : gradients.layout().slices) {
      gradients.read(slice, g);
      const bool decays = slice.hf_name.find("norm") == std::string::npos;
      for (size_t i = 0; i < g.size(); ++i) {
        double &weight = w[slice.hf_name][i], &first = m[slice.hf_name][i], &second = v[slice.hf_name][i];
        const double gradient = clip * static_cast<double>(g[i]);
        if (decays) weight -= learning_rate * config.weight_decay * weight;
        first = config.beta1 * first + (1 - config.beta1) * gradient;
        second = config.beta2 * second + (1 - config.beta2) * gradient * gradient;
        const double corrected = std::sqrt(second / (1 - std::pow(config.beta2, t)));
        weight -= learning_rate * first / (1 - std::pow(config.beta1, t)) / (corrected + config.epsilon);
      }
    }
    return norm;
  }
};

}  // namespace

TEST("optimizer: weights follow AdamW in float64, with and without clipping") {
  for (const double max_grad_norm : {0.0, 0.05}) {
    TrainerConfig config = small_batches(1e-2);
    config.optimizer.max_grad_norm = max_grad_norm;
    config.optimizer.weight_decay = 0.1;
    config.optimizer.epsilon = 1e-6;
    config.optimizer.warmup_steps = 3;
    Setup setup(21, config);
    ReferenceAdamW reference(config.optimizer, setup.model->weights());
    for (int64_t t = 1; t <= 5; ++t) {
      auto step = recorded_step(setup.trainer, 30 + static_cast<uint64_t>(t));
      const StepStats stats = setup.trainer.step(step->batch, loss_preset("trl-grpo"));
      const double rate = 1e-2 * static_cast<double>(std::min<int64_t>(t, 3)) / 3.0;
      CHECK_LE(std::abs(stats.learning_rate - rate), 1e-12);
      const double norm = reference.step(setup.trainer.gradients(), t, rate);
      CHECK_LE(std::abs(stats.grad_norm - norm), 1e-9 * norm);
      if (max_grad_norm > 0.0) CHECK(norm > max_grad_norm);
    }
    CHECK_EQ(setup.trainer.steps_done(), 5);
    std::vector<float> values;
    for (const ParameterSlice& slice : setup.model->weights().layout().slices) {
      setup.model->weights().read(slice, values);
      CHECK_LE(relative_error(values, reference.w[slice.hf_name]), 1e-6);
    }
  }
}

TEST("schedule: warm-up from lr / warmup_steps, then constant, linear or cosine to final_ratio") {
  OptimizerConfig config;
  config.learning_rate = 0.8;
  config.warmup_steps = 4;
  config.total_steps = 24;
  config.final_ratio = 0.25;
  for (const Schedule schedule : {Schedule::constant, Schedule::linear, Schedule::cosine}) {
    config.schedule = schedule;
    for (int64_t step = 0; step < 4; ++step)
      CHECK_LE(std::abs(learning_rate_at(config, step) - 0.2 * static_cast<double>(step + 1)), 1e-15);
    CHECK_LE(std::abs(learning_rate_at(config, 4) - 0.8), 1e-15);
    const bool constant = schedule == Schedule::constant;
    CHECK_LE(std::abs(learning_rate_at(config, 14) - (constant ? 0.8 : 0.5)), 1e-15);  // half way
    CHECK_LE(std::abs(learning_rate_at(config, 24) - (constant ? 0.8 : 0.2)), 1e-15);
    CHECK_EQ(learning_rate_at(config, 1000), learning_rate_at(config, 24));
  }
  config.schedule = Schedule::linear;
  CHECK_LE(std::abs(learning_rate_at(config, 9) - 0.65), 1e-15);
  config.schedule = Schedule::cosine;
  const double quarter = 0.5 * (1.0 + std::numbers::sqrt2 / 2.0);
  CHECK_LE(std::abs(learning_rate_at(config, 9) - (0.2 + 0.6 * quarter)), 1e-15);
  config.warmup_steps = 0;
  CHECK_EQ(learning_rate_at(config, 0), 0.8);
}

TEST("optimizer: options out of range are refused") {
  const auto make = [](auto change) {
    TrainerConfig config;
    change(config);
    Trainer(tiny_model(1), config);
  };
  CHECK_ERROR(make([](auto& c) { c.optimizer.learning_rate = -1; }), "`learning_rate` >= 0 but received -1");
  CHECK_ERROR(make([](auto& c) { c.optimizer.learning_rate = std::nan(""); }), "`learning_rate`");
  CHECK_ERROR(make([](auto& c) { c.optimizer.beta2 = 1.0; }), "`beta2` in [0, 1)");
  CHECK_ERROR(make([](auto& c) { c.optimizer.epsilon = 0.0; }), "`epsilon` > 0");
  CHECK_ERROR(make([](auto& c) { c.optimizer.schedule = Schedule::cosine; }), "`total_steps` above `warmup_steps`");
  CHECK_ERROR(make([](auto& c) { c.optimizer.final_ratio = 2.0; }), "`final_ratio` in [0, 1]");
  CHECK_ERROR(make([](auto& c) { c.max_batch_tokens = 0; }), "`max_batch_tokens` >= 1");
}

}  // namespace ajet::test
