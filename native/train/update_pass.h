// The forward, loss and backward passes of one step over all parts of its tree, each in its segments. Gradients add up
// in the core's arena; weights are only read.
#pragma once

#include <functional>
#include <span>
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
  Tensor forward(Model& source, const PartSegment& segment, bool for_backward);
  void score(Model& source, bool for_backward, const std::function<void(const HeadChunk&)>& visit);
  void record(const HeadChunk& chunk);
  void set_sequence_ratios();
  void train_part(std::span<const PartSegment> segments, bool scored);
  void train_segment(const PartSegment& segment, Tensor hidden);
  void differentiate(const HeadChunk& chunk);
  void finish_stats();
  void compare_with_recorded();

  TrainerCore& core_;
  const StepPlan& plan_;
  const LossConfig& loss_;
  const std::function<bool()>& should_stop_;
  StepStats& stats_;

  std::vector<std::vector<PartSegment>> segments_;  // [parts]
  Tensor scored_hidden_;                            // of the last segment that score() computed
  std::vector<double> sequence_log_ratio_;          // [rows], sequence level only
  // [entries of the tree]
  std::vector<float> logprob_, entropy_;
  std::vector<float> ref_logprob_;  // with KL only
  // Of the chunk at hand.
  std::vector<float> old_logprob_, chunk_ref_, entry_entropy_, dlogprob_, dentropy_, row_dentropy_;
  std::vector<double> advantage_, weight_;
  std::vector<int32_t> row_;
};

}  // namespace ajet
