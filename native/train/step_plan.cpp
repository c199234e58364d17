#include "train/step_plan.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"

namespace ajet {

namespace {

[[noreturn]] void fail_batch(const std::string& message) {
  fail(ErrorCode::invalid_argument, "[train_step] Expected " + message);
}

// Advantages as given, or computed from rewards; supervised losses use neither and keep every episode.
Advantages step_advantages(const StepBatch& batch, const LossConfig& loss) {
  if (loss.kind == LossKind::cross_entropy) {
    if (!batch.rewards.empty() || !batch.advantages.empty())
      fail_batch("no `rewards` and no `advantages` with the cross-entropy loss, which does not use them");
    int32_t episodes = 0;
    for (const CallChoice& call : batch.calls) episodes = std::max(episodes, call.episode + 1);
    const auto count = static_cast<size_t>(episodes);
    return {std::vector<double>(count, 1.0), std::vector<uint8_t>(count, 1)};
  }
  if (batch.advantages.empty()) return compute_advantages(batch.rewards, batch.groups, loss.advantage);
  if (!batch.rewards.empty() && batch.rewards.size() != batch.advantages.size())
    fail_batch("as many `advantages` as `rewards` (" + std::to_string(batch.rewards.size()) + ") but received " +
               std::to_string(batch.advantages.size()));
  for (const double value : batch.advantages) {
    if (!std::isfinite(value)) fail_batch("finite `advantages` but received " + std::to_string(value));
  }
  return {batch.advantages, std::vector<uint8_t>(batch.advantages.size(), 1)};
}

int64_t rows_with_entries(const TokenTree& tree) {
  return std::count_if(tree.row_tokens.begin(), tree.row_tokens.end(), [](int64_t count) { return count > 0; });
}

// Episodes that are left out are a tree of their own: rows and fates never reach across episodes.
void build_trees(const StepBatch& batch, StepPlan& plan) {
  std::vector<CallChoice> kept, left_out;
  std::vector<int32_t> left_out_call;
  for (size_t i = 0; i < batch.calls.size(); ++i) {
    const CallChoice& call = batch.calls[i];
    if (call.episode < 0 || static_cast<size_t>(call.episode) >= plan.advantages.kept.size())
      fail_batch("`episode` below " + std::to_string(plan.advantages.kept.size()) + " but received " +
                 std::to_string(call.episode) + " (call " + std::to_string(i) + ")");
    const bool keep = plan.advantages.kept[static_cast<size_t>(call.episode)] != 0;
    (keep ? kept : left_out).push_back(call);
    (keep ? plan.batch_call : left_out_call).push_back(static_cast<int32_t>(i));
  }
  plan.tree = build_token_tree(kept);
  const TokenTree other = build_token_tree(left_out);
  plan.rows = rows_with_entries(plan.tree);
  plan.rows_left_out = rows_with_entries(other);
  plan.fates.resize(batch.calls.size());
  for (size_t i = 0; i < kept.size(); ++i) plan.fates[static_cast<size_t>(plan.batch_call[i])] = plan.tree.fates[i];
  for (size_t i = 0; i < left_out.size(); ++i) plan.fates[static_cast<size_t>(left_out_call[i])] = other.fates[i];
}

void set_coefficients(const StepBatch& batch, const LossConfig& loss, StepPlan& plan) {
  const size_t entries = plan.tree.entries.size();
  plan.row.reserve(entries);
  plan.old_logprob.reserve(entries);
  plan.advantage.reserve(entries);
  plan.recorded.reserve(entries);
  for (const Entry& entry : plan.tree.entries) {
    const auto index = static_cast<size_t>(plan.batch_call[static_cast<size_t>(entry.choice)]);
    const CallChoice& call = batch.calls[index];
    if (call.logprobs.empty() && loss.kind != LossKind::cross_entropy)
      fail_batch("recorded `logprobs` with this loss but call " + std::to_string(index) + " has none");
    plan.row.push_back(entry.row);
    plan.old_logprob.push_back(entry.old_logprob);
    plan.recorded.push_back(call.logprobs.empty() ? 0 : 1);
    plan.advantage.push_back(plan.advantages.values[static_cast<size_t>(call.episode)]);
  }
  plan.weight = entry_weights(loss, plan.row, plan.tree.row_tokens);
  for (const double weight : plan.weight) plan.total_weight += weight;
}

}  // namespace

std::vector<int64_t> flat_offsets(const std::vector<CallChoice>& calls) {
  std::vector<int64_t> offset{0};
  for (const CallChoice& call : calls) offset.push_back(offset.back() + static_cast<int64_t>(call.sampled.size()));
  return offset;
}

StepPlan plan_step(const StepBatch& batch, const LossConfig& loss, int64_t max_batch_tokens) {
  check_loss_config(loss);
  StepPlan plan;
  plan.advantages = step_advantages(batch, loss);
  plan.offset = flat_offsets(batch.calls);
  build_trees(batch, plan);
  set_coefficients(batch, loss, plan);
  plan.parts = cut_tree(plan.tree, max_batch_tokens);
  return plan;
}

}  // namespace ajet
