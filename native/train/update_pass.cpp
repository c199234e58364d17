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
  if (loss.kl != KlKind::none) ref_logprob_.resize(plan.tree.entries.size());
}

void UpdatePass::throw_if_stopped() const {
  if (should_stop_ && should_stop_()) fail(ErrorCode::aborted, "[train_step] Stopped before the weights changed");
}

Tensor UpdatePass::forward_policy(const TreePart& part, Activations* keep) {
  throw_if_stopped();
  stats_.tokens_trained += static_cast<int64_t>(part.tokens.size());
  return core_.forward(*core_.model, part, keep);
}

void UpdatePass::score_reference(const TreePart& part) {
  throw_if_stopped();
  Model& reference = *core_.reference;
  const Tensor hidden = core_.forward(reference, part, nullptr);
  core_.for_each_chunk(reference, plan_.tree, part, hidden, [this](const HeadChunk& chunk) {
    for (size_t i = 0; i < chunk.entry.size(); ++i)
      ref_logprob_[static_cast<size_t>(chunk.entry[i])] = chunk.logprob[i];
  });
}

// Mean log-ratio of every row, before any coefficient. With one part the second pass starts from this one's states.
void UpdatePass::score_sequences(bool keep_last) {
  const size_t rows = plan_.tree.row_tokens.size();
  std::vector<double> log_ratio(plan_.tree.entries.size());
  for (const TreePart& part : plan_.parts) {
    scored_hidden_ = forward_policy(part, keep_last ? &core_.activations : nullptr);
    core_.for_each_chunk(*core_.model, plan_.tree, part, scored_hidden_, [&](const HeadChunk& chunk) {
      for (size_t i = 0; i < chunk.entry.size(); ++i) {
        const auto entry = static_cast<size_t>(chunk.entry[i]);
        log_ratio[entry] = static_cast<double>(chunk.logprob[i]) - static_cast<double>(plan_.old_logprob[entry]);
      }
    });
  }
  sequence_log_ratio_.assign(rows, 0.0);
  for (size_t i = 0; i < log_ratio.size(); ++i) sequence_log_ratio_[static_cast<size_t>(plan_.row[i])] += log_ratio[i];
  for (size_t row = 0; row < rows; ++row)
    sequence_log_ratio_[row] /= static_cast<double>(std::max<int64_t>(plan_.tree.row_tokens[row], 1));
}

// The promise "exactly on-policy" is measured here: by this very pass, NaN counting as infinitely far.
void UpdatePass::record(const HeadChunk& chunk) {
  for (size_t i = 0; i < chunk.entry.size(); ++i) {
    const auto entry = static_cast<size_t>(chunk.entry[i]);
    const float entropy = chunk.entropy[static_cast<size_t>(chunk.row[i])];
    const size_t flat = plan_.flat_index(plan_.tree.entries[entry]);
    stats_.logprobs[flat] = chunk.logprob[i];
    stats_.entropies[flat] = entropy;
    weighted_entropy_ += plan_.weight[entry] * static_cast<double>(entropy);
    if (plan_.recorded[entry] == 0) continue;
    double difference = std::abs(static_cast<double>(chunk.logprob[i]) - static_cast<double>(plan_.old_logprob[entry]));
    if (std::isnan(difference)) difference = std::numeric_limits<double>::infinity();
    stats_.logprob_max_abs_diff = std::max(stats_.logprob_max_abs_diff, difference);
    ++stats_.logprobs_compared;
  }
}

// Loss and derivatives of a chunk's entries, from coefficients of the whole step.
void UpdatePass::take_losses(const HeadChunk& chunk) {
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
    entry_entropy_.resize(entries);
    for (size_t i = 0; i < entries; ++i) entry_entropy_[i] = chunk.entropy[static_cast<size_t>(chunk.row[i])];
  }
  const LossInputs inputs{chunk.logprob, old_logprob_, chunk_ref_, entry_entropy_, advantage_, weight_, row_};
  const LossSums sums = policy_loss(loss_, inputs, sequence_log_ratio_, plan_.tree.row_tokens, dlogprob_, dentropy_);
  sums_.loss += sums.loss;
  sums_.policy_loss += sums.policy_loss;
  sums_.kl += sums.kl;
  sums_.clipped += sums.clipped;
  sums_.ratio_max = std::max(sums_.ratio_max, sums.ratio_max);
  row_dentropy_.assign(with_entropy ? static_cast<size_t>(chunk.rows) : 0, 0.0F);
  for (size_t i = 0; with_entropy && i < entries; ++i) row_dentropy_[static_cast<size_t>(chunk.row[i])] += dentropy_[i];
}

void UpdatePass::train_part(const TreePart& part, Tensor hidden, bool with_gradient) {
  Model& model = *core_.model;
  Backend& backend = *model.backend();
  const Tensor dhidden = with_gradient ? core_.zero_dhidden(part) : Tensor{};
  double head_backward = 0.0;
  {
    const StageTimer timer(backend, stats_.forward_seconds);
    core_.for_each_chunk(model, plan_.tree, part, hidden, [&](const HeadChunk& chunk) {
      throw_if_stopped();
      record(chunk);
      take_losses(chunk);
      if (!with_gradient) return;
      const StageTimer head_timer(backend, head_backward);
      core_.head.backward(dlogprob_, row_dentropy_, dhidden, model.head(), model.head_gradient(core_.gradients));
    });
  }
  stats_.forward_seconds -= head_backward;
  stats_.backward_seconds += head_backward;
  if (!with_gradient) return;
  const StageTimer timer(backend, stats_.backward_seconds);
  model.backward_tree(core_.gradients, dhidden, part.tokens, part.layout(), core_.activations);
}

void UpdatePass::finish_stats() {
  stats_.loss = sums_.loss;
  stats_.policy_loss = sums_.policy_loss;
  stats_.ratio_max = sums_.ratio_max;
  // Means over entries, by the loss's own weights whatever these sum to.
  stats_.kl = sums_.kl / plan_.total_weight;
  stats_.clip_fraction = sums_.clipped / plan_.total_weight;
  stats_.entropy = weighted_entropy_ / plan_.total_weight;
  stats_.micro_batches = static_cast<int64_t>(plan_.parts.size());
}

void UpdatePass::run(bool with_gradient) {
  Backend& backend = *core_.model->backend();
  Activations* const keep = with_gradient ? &core_.activations : nullptr;
  {
    const StageTimer timer(backend, stats_.forward_seconds);
    if (loss_.kl != KlKind::none) {
      for (const TreePart& part : plan_.parts) score_reference(part);
    }
    if (sequence_level()) score_sequences(keep != nullptr && plan_.parts.size() == 1);
  }
  const bool scored = sequence_level() && plan_.parts.size() == 1;
  for (const TreePart& part : plan_.parts) {
    Tensor hidden = scored_hidden_;
    if (!scored) {
      const StageTimer timer(backend, stats_.forward_seconds);
      hidden = forward_policy(part, keep);
    }
    train_part(part, hidden, with_gradient);
  }
  finish_stats();
}

}  // namespace ajet
