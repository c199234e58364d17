#include "train/update_pass.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace ajet {

namespace {

// Adds its lifetime, up to what the device has finished, to a statistic.
class StageTimer {
 public:
  StageTimer(Backend& backend, double& seconds) : backend_(backend), seconds_(seconds) {}
  ~StageTimer() {
    backend_.synchronize();
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  Backend& backend_;
  double& seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

template <typename T>
void gather(std::vector<T>& out, const std::vector<T>& values, std::span<const int32_t> index) {
  out.resize(index.size());
  for (size_t i = 0; i < index.size(); ++i) out[i] = values[static_cast<size_t>(index[i])];
}

}  // namespace

UpdatePass::UpdatePass(TrainerCore& core, const StepPlan& plan, const LossConfig& loss,
                       const std::function<bool()>& should_stop, StepStats& stats)
    : core_(core), plan_(plan), loss_(loss), should_stop_(should_stop), stats_(stats) {
  if (loss.kl != KlKind::none && core.reference == nullptr)
    fail(ErrorCode::invalid_argument, "[train_step] `kl` needs a reference; set TrainerConfig.reference");
  const size_t entries = plan.tree.entries.size();
  logprob_.resize(entries);
  entropy_.resize(entries);
  if (loss.kl != KlKind::none) ref_logprob_.resize(entries);
  for (const TreePart& part : plan.parts) segments_.push_back(cut_part(part, core.config.max_batch_tokens));
}

void UpdatePass::throw_if_stopped() const {
  if (should_stop_ && should_stop_()) fail(ErrorCode::aborted, "[train_step] Stopped before the weights changed");
}

Tensor UpdatePass::forward(Model& source, const PartSegment& segment, bool for_backward) {
  throw_if_stopped();
  const StageTimer timer(*core_.model->backend(), stats_.forward_seconds);
  if (&source == core_.model.get()) stats_.tokens_trained += static_cast<int64_t>(segment.tokens.size());
  return core_.forward(source, segment, for_backward);
}

// Visits every entry of the step. for_backward: the last segment's activations are kept, and its hidden states are in
// scored_hidden_.
void UpdatePass::score(Model& source, bool for_backward, const std::function<void(const HeadChunk&)>& visit) {
  for (const std::vector<PartSegment>& segments : segments_) {
    core_.start_part(segments, for_backward);
    for (const PartSegment& segment : segments) {
      scored_hidden_ = forward(source, segment, for_backward && &segment == &segments.back());
      const StageTimer timer(*core_.model->backend(), stats_.forward_seconds);
      core_.for_each_chunk(source, plan_.tree, segment, scored_hidden_, visit);
    }
  }
}

void UpdatePass::record(const HeadChunk& chunk) {
  for (size_t i = 0; i < chunk.entry.size(); ++i) {
    const auto entry = static_cast<size_t>(chunk.entry[i]);
    logprob_[entry] = chunk.logprob[i];
    entropy_[entry] = chunk.entropy[static_cast<size_t>(chunk.row[i])];
  }
}

// Mean log-ratio of every row.
void UpdatePass::set_sequence_ratios() {
  sequence_log_ratio_.assign(plan_.tree.row_tokens.size(), 0.0);
  for (size_t i = 0; i < logprob_.size(); ++i)
    sequence_log_ratio_[static_cast<size_t>(plan_.row[i])] +=
        static_cast<double>(logprob_[i]) - static_cast<double>(plan_.old_logprob[i]);
  for (size_t row = 0; row < sequence_log_ratio_.size(); ++row)
    sequence_log_ratio_[row] /= static_cast<double>(std::max<int64_t>(plan_.tree.row_tokens[row], 1));
}

// Derivatives of a chunk's entries, from coefficients of the whole step.
void UpdatePass::differentiate(const HeadChunk& chunk) {
  gather(old_logprob_, plan_.old_logprob, chunk.entry);
  gather(advantage_, plan_.advantage, chunk.entry);
  gather(weight_, plan_.weight, chunk.entry);
  gather(row_, plan_.row, chunk.entry);
  if (loss_.kl != KlKind::none) gather(chunk_ref_, ref_logprob_, chunk.entry);
  const size_t entries = chunk.entry.size();
  dlogprob_.resize(entries);
  const bool with_entropy = loss_.entropy_coef != 0.0;
  if (with_entropy) {
    dentropy_.resize(entries);
    gather(entry_entropy_, entropy_, chunk.entry);
  }
  const LossInputs inputs{chunk.logprob, old_logprob_, chunk_ref_, entry_entropy_, advantage_, weight_, row_};
  policy_loss(loss_, inputs, sequence_log_ratio_, plan_.tree.row_tokens, dlogprob_, dentropy_);
  row_dentropy_.assign(with_entropy ? static_cast<size_t>(chunk.rows) : 0, 0.0F);
  for (size_t i = 0; with_entropy && i < entries; ++i) row_dentropy_[static_cast<size_t>(chunk.row[i])] += dentropy_[i];
}

void UpdatePass::train_segment(const PartSegment& segment, Tensor hidden) {
  Model& model = *core_.model;
  Backend& backend = *model.backend();
  const Tensor dhidden = core_.zero_dhidden(segment);
  double head_backward = 0.0;
  {
    const StageTimer timer(backend, stats_.forward_seconds);
    core_.for_each_chunk(model, plan_.tree, segment, hidden, [&](const HeadChunk& chunk) {
      throw_if_stopped();
      record(chunk);
      differentiate(chunk);
      const StageTimer head_timer(backend, head_backward);
      core_.head.backward(dlogprob_, row_dentropy_, dhidden, model.head(), model.head_gradient(core_.gradients));
    });
  }
  stats_.forward_seconds -= head_backward;
  stats_.backward_seconds += head_backward;
  const StageTimer timer(backend, stats_.backward_seconds);
  if (core_.activations.layout.keep == Keep::layer_inputs)
    stats_.tokens_recomputed += static_cast<int64_t>(segment.tokens.size());
  model.backward_tree(core_.gradients, dhidden, segment.tokens, segment.layout(), core_.activations,
                      core_.cache_of(segment));
}

// `scored`: score() has just computed this part and kept its last segment.
void UpdatePass::train_part(std::span<const PartSegment> segments, bool scored) {
  Model& model = *core_.model;
  const PartSegment& last = segments.back();
  if (!scored) {
    core_.start_part(segments, true);
    for (const PartSegment& segment : segments.first(segments.size() - 1)) forward(model, segment, false);
  }
  // Backwards, since a row's keys and values take gradients from all rows behind it.
  for (size_t i = segments.size(); i-- > 0;) {
    const PartSegment& segment = segments[i];
    train_segment(segment, scored && &segment == &last ? scored_hidden_ : forward(model, segment, true));
  }
}

// The promise "exactly on-policy" is measured here: by this very pass, NaN counting as infinitely far.
void UpdatePass::compare_with_recorded() {
  for (size_t i = 0; i < logprob_.size(); ++i) {
    if (plan_.recorded[i] == 0) continue;
    double difference = std::abs(static_cast<double>(logprob_[i]) - static_cast<double>(plan_.old_logprob[i]));
    if (std::isnan(difference)) difference = std::numeric_limits<double>::infinity();
    stats_.logprob_max_abs_diff = std::max(stats_.logprob_max_abs_diff, difference);
    ++stats_.logprobs_compared;
  }
}

// Sums in the order of the tree's entries, so that they do not depend on where the tree was cut.
void UpdatePass::finish_stats() {
  const size_t entries = logprob_.size();
  dlogprob_.resize(entries);
  if (loss_.entropy_coef != 0.0) dentropy_.resize(entries);
  const LossInputs inputs{logprob_,        plan_.old_logprob, ref_logprob_, entropy_,
                          plan_.advantage, plan_.weight,      plan_.row};
  const LossSums sums = policy_loss(loss_, inputs, sequence_log_ratio_, plan_.tree.row_tokens, dlogprob_, dentropy_);
  double weighted_entropy = 0.0;
  for (size_t i = 0; i < entries; ++i) {
    const size_t flat = plan_.flat_index(plan_.tree.entries[i]);
    stats_.logprobs[flat] = logprob_[i];
    stats_.entropies[flat] = entropy_[i];
    weighted_entropy += plan_.weight[i] * static_cast<double>(entropy_[i]);
  }
  stats_.loss = sums.loss;
  stats_.policy_loss = sums.policy_loss;
  stats_.ratio_max = sums.ratio_max;
  // Means over entries, by the loss's own weights whatever these sum to.
  stats_.kl = sums.kl / plan_.total_weight;
  stats_.clip_fraction = sums.clipped / plan_.total_weight;
  stats_.entropy = weighted_entropy / plan_.total_weight;
  compare_with_recorded();
  for (const std::vector<PartSegment>& segments : segments_)
    stats_.micro_batches += static_cast<int64_t>(segments.size());
}

void UpdatePass::run(bool with_gradient) {
  if (loss_.kl != KlKind::none) {
    score(*core_.reference, false, [this](const HeadChunk& chunk) {
      for (size_t i = 0; i < chunk.entry.size(); ++i)
        ref_logprob_[static_cast<size_t>(chunk.entry[i])] = chunk.logprob[i];
    });
  }
  // Sequence-level losses need all log-probs before any coefficient. With one part the second pass starts from what the
  // first one leaves.
  const bool scored = sequence_level() && segments_.size() == 1;
  if (sequence_level() || !with_gradient) {
    score(*core_.model, with_gradient && scored, [this](const HeadChunk& chunk) { record(chunk); });
  }
  if (sequence_level()) set_sequence_ratios();
  if (with_gradient) {
    for (const std::vector<PartSegment>& segments : segments_) train_part(segments, scored);
  }
  finish_stats();
}

}  // namespace ajet
