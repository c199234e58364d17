#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "model/weights_access.h"
#include "train/step_plan.h"
#include "train/trainer_core.h"
#include "train/update_pass.h"

namespace ajet {

namespace {

void expect(bool condition, const char* what, double received) {
  if (!condition)
    fail(ErrorCode::invalid_argument,
         std::string("[trainer] Expected ") + what + " but received " + std::to_string(received));
}

void check_config(const TrainerConfig& config) {
  const OptimizerConfig& o = config.optimizer;
  expect(std::isfinite(o.learning_rate) && o.learning_rate >= 0.0, "`learning_rate` >= 0", o.learning_rate);
  expect(o.beta1 >= 0.0 && o.beta1 < 1.0, "`beta1` in [0, 1)", o.beta1);
  expect(o.beta2 >= 0.0 && o.beta2 < 1.0, "`beta2` in [0, 1)", o.beta2);
  expect(std::isfinite(o.epsilon) && o.epsilon > 0.0, "`epsilon` > 0", o.epsilon);
  expect(std::isfinite(o.weight_decay) && o.weight_decay >= 0.0, "`weight_decay` >= 0", o.weight_decay);
  expect(std::isfinite(o.max_grad_norm) && o.max_grad_norm >= 0.0, "`max_grad_norm` >= 0", o.max_grad_norm);
  expect(o.warmup_steps >= 0, "`warmup_steps` >= 0", static_cast<double>(o.warmup_steps));
  expect(o.schedule == Schedule::constant || o.total_steps > o.warmup_steps,
         "`total_steps` above `warmup_steps` for the linear and cosine schedules", static_cast<double>(o.total_steps));
  expect(o.final_ratio >= 0.0 && o.final_ratio <= 1.0, "`final_ratio` in [0, 1]", o.final_ratio);
  expect(config.max_batch_tokens >= 1, "`max_batch_tokens` >= 1", static_cast<double>(config.max_batch_tokens));
  expect(config.head_scratch_bytes >= 1, "`head_scratch_bytes` >= 1", static_cast<double>(config.head_scratch_bytes));
}

void place_master_weights(Model& model, OptimizerOffload offload) {
  if (optimizer_places(*model.backend(), offload).master == MatrixPlace::device) return;
  if (model.backend()->compute_dtype() == DType::f32) {
    fail(ErrorCode::invalid_argument,
         "[trainer] Expected \"none\" or \"moments\" for `offload` but received \"moments_and_master\": a model in "
         "float32 computes with its master weights; load it in bfloat16 to offload them");
  }
  model.offload_master_weights();
}

// AdamW over every parameter, gradients scaled to the norm's limit.
void update_weights(TrainerCore& core, StepStats& stats) {
  const OptimizerConfig& config = core.config.optimizer;
  // As torch.nn.utils.clip_grad_norm_.
  const double clip = config.max_grad_norm > 0.0 ? std::min(config.max_grad_norm / (stats.grad_norm + 1e-6), 1.0) : 1.0;
  stats.learning_rate = learning_rate_at(config, core.steps);
  AdamwArgs args{.learning_rate = static_cast<float>(stats.learning_rate),
                 .beta1 = static_cast<float>(config.beta1),
                 .beta2 = static_cast<float>(config.beta2),
                 .epsilon = static_cast<float>(config.epsilon),
                 .gradient_scale = static_cast<float>(clip),
                 .step = core.steps + 1};
  ParameterArena& weights = core.model->weights();
  const std::vector<Parameter>& layout = weights.layout().parameters;
  std::vector<AdamwParameter> parameters;
  for (int i = 0; i < static_cast<int>(layout.size()); ++i) {
    const Parameter& p = layout[static_cast<size_t>(i)];
    args.compute_copy = p.matrix ? weights.compute_copy(i) : nullptr;
    args.weight_decay = p.decay ? static_cast<float>(config.weight_decay) : 0.0F;
    parameters.push_back({.w = weights.values(i),
                          .m = core.first_moment.values(i),
                          .v = core.second_moment.values(i),
                          .gradient = core.gradients.values(i),
                          .elements = p.elements,
                          .args = args});
  }
  core.model->backend()->adamw_update(parameters);
  ++core.steps;
  core.model->weights_changed();
  stats.updated = true;
}

void describe_plan(const StepPlan& plan, StepStats& stats) {
  stats.entries = static_cast<int64_t>(plan.tree.entries.size());
  stats.rows = plan.rows;
  stats.rows_left_out = plan.rows_left_out;
  stats.tokens_tree = static_cast<int64_t>(plan.tree.tokens.size());
  stats.tokens_unshared = plan.tree.unshared_tokens;
  stats.fates = plan.fates;
  stats.advantages = plan.advantages.values;
  stats.episodes_kept = plan.advantages.kept;
  const auto sampled = static_cast<size_t>(plan.offset.back());
  stats.logprobs.assign(sampled, std::numeric_limits<float>::quiet_NaN());
  stats.entropies.assign(sampled, std::numeric_limits<float>::quiet_NaN());
}

void require_finite(double value, const char* what) {
  if (!std::isfinite(value))
    fail(ErrorCode::numeric, std::string("[train_step] Expected a finite ") + what + " but received " +
                                 std::to_string(value) + "; the weights are unchanged");
}

}  // namespace

Trainer::Trainer(std::shared_ptr<Model> model, const TrainerConfig& config) {
  check_config(config);
  if (model->attached() != nullptr) {
    fail(ErrorCode::invalid_argument,
         "[trainer] Expected a model with weights of its own, but they are those of a training run in another process");
  }
  place_master_weights(*model, config.offload);
  state_ = std::make_unique<State>(std::move(model), config);
}

Trainer::~Trainer() = default;

int64_t Trainer::steps_done() const { return state_->steps; }

const ParameterArena& Trainer::gradients() const {
  if (!state_->holds_gradients())
    fail(ErrorCode::invalid_argument, "[gradients] Expected an update whose memory nobody has taken since");
  return state_->gradients;
}

StepStats Trainer::step(const StepBatch& batch, const LossConfig& loss, const std::function<bool()>& should_stop) {
  TrainerCore& core = *state_;
  Backend& backend = *core.model->backend();
  const StepPlan plan = plan_step(batch, loss, core.config.max_batch_tokens);
  StepStats stats;
  describe_plan(plan, stats);
  stats.version = core.model->version();
  core.begin_pass(plan.parts, !batch.evaluate_only);
  if (plan.tree.entries.empty()) return stats;

  UpdatePass(core, plan, loss, should_stop, stats).run(!batch.evaluate_only);
  require_finite(stats.loss, "loss");
  if (batch.evaluate_only) return stats;

  const auto start = std::chrono::steady_clock::now();
  stats.grad_norm = std::sqrt(backend.sum_squares(core.gradients.data(), core.gradients.elements()));
  require_finite(stats.grad_norm, "gradient norm");
  WeightsUpdate update("trainer", *core.model);
  update_weights(core, stats);
  update.finish();
  stats.optimizer_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  stats.version = core.model->version();
  return stats;
}

void Trainer::score(const std::vector<CallChoice>& calls, bool reference, std::vector<float>& logprobs,
                    std::vector<float>& entropies) {
  TrainerCore& core = *state_;
  if (reference && core.reference == nullptr)
    fail(ErrorCode::invalid_argument, "[score] `reference` needs TrainerConfig.reference");
  Model& source = reference ? *core.reference : *core.model;
  std::vector<CallChoice> unmasked = calls;
  for (CallChoice& call : unmasked) call.mask = {};
  const TokenTree tree = build_token_tree(unmasked);
  const std::vector<int64_t> offset = flat_offsets(calls);
  logprobs.assign(static_cast<size_t>(offset.back()), 0.0F);
  entropies.assign(static_cast<size_t>(offset.back()), 0.0F);
  const auto record = [&](const HeadChunk& chunk) {
    for (size_t i = 0; i < chunk.entry.size(); ++i) {
      const Entry& entry = tree.entries[static_cast<size_t>(chunk.entry[i])];
      const auto flat = static_cast<size_t>(offset[static_cast<size_t>(entry.choice)] + entry.index);
      logprobs[flat] = chunk.logprob[i];
      entropies[flat] = chunk.entropy[static_cast<size_t>(chunk.row[i])];
    }
  };
  const std::vector<TreePart> parts = cut_tree(tree, core.config.max_batch_tokens);
  core.begin_pass(parts, false);
  for (const TreePart& part : parts) {
    const std::vector<PartSegment> segments = cut_part(part, core.config.max_batch_tokens);
    core.start_part(segments, false);
    for (const PartSegment& segment : segments)
      core.for_each_chunk(source, tree, segment, core.forward(source, segment, false), record);
  }
}

}  // namespace ajet
