// The forward, loss and backward passes of one step over all parts of its tree. Gradients add up in the core's arena;
// weights are only read.
#pragma once

#include <functional>
#include <vector>

#include "train/step_plan.h"
#include "train/trainer_core.h"

namespace ajet {

class UpdatePass {
 public:
  UpdatePass(TrainerCore& core, const StepPlan& plan, const LossConfig& loss, const std::function<bool()>& should_stop,
             StepStats& stats);

  // Fills the loss statistics and per-token results of `stats`; with_gradient false leaves the gradients alone.
  void run(bool with_gradient);

 private:
  bool sequence_level() const { return loss_.level == RatioLevel::sequence; }
  void throw_if_stopped() const;
  Tensor forward_policy(const TreePart& part, Activations* keep);
  void score_reference(const TreePart& part);
  void score_sequences(bool keep_last);
  void train_part(const TreePart& part, Tensor hidden, bool with_gradient);
  void take_losses(const HeadChunk& chunk);
  void record(const HeadChunk& chunk);
  void finish_stats();

  TrainerCore& core_;
  const StepPlan& plan_;
  const LossConfig& loss_;
  const std::function<bool()>& should_stop_;
  StepStats& stats_;

  Tensor scored_hidden_;                    // of the only part, left by score_sequences
  std::vector<double> sequence_log_ratio_;  // [rows], sequence level only
  std::vector<float> ref_logprob_;          // [entries of the tree], with KL only
  double weighted_entropy_ = 0.0;
  LossSums sums_;
  // Of the chunk at hand.
  std::vector<float> old_logprob_, chunk_ref_, entry_entropy_, dlogprob_, dentropy_, row_dentropy_;
  std::vector<double> advantage_, weight_;
  std::vector<int32_t> row_;
};

}  // namespace ajet
