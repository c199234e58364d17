#include "train/policy_loss.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace ajet {

namespace {

// The value of one entry's term and its derivative by the entry's log-prob.
struct Term {
  double value;
  double derivative;
  bool clipped;  // the clip stopped (or, for CISPO, cut) the gradient
};

// -min(r·A, clip(r, 1 - low, 1 + high)·A); on a tie the unclipped branch. Dual clip (Ye et al. 2020, as verl):
// for A < 0 at most -c·A. Token level: dr/dlogprob = r. Sequence level: dr/dlogprob = r / len_i, and the row's len_i
// entries share one ratio and one weight, so that the derivative of their sum by one log-prob is again weight·(-A·r).
Term clipped_term(const LossConfig& config, double ratio, double advantage) {
  const double plain = -advantage * ratio;
  const double bounded = -advantage * std::clamp(ratio, 1.0 - config.clip_low, 1.0 + config.clip_high);
  Term term{plain, plain, false};
  if (bounded > plain) term = {bounded, 0.0, true};
  if (config.dual_clip > 0.0 && advantage < 0.0 && term.value > -advantage * config.dual_clip)
    term = {-advantage * config.dual_clip, 0.0, true};
  return term;
}

// -sg(clip(r, low, high))·A·logprob (MiniMax-M1, 2025).
Term cispo_term(const LossConfig& config, double ratio, double advantage, double logprob) {
  const double weight = std::clamp(ratio, config.cispo_low, config.cispo_high);
  return {-weight * advantage * logprob, -weight * advantage, weight != ratio};
}

// Estimators of KL(policy ‖ reference) from one sample (Schulman, "Approximating KL divergence", 2020), each with
// its own gradient.
Term kl_term(KlKind kind, double logprob, double ref_logprob) {
  const double difference = logprob - ref_logprob;
  switch (kind) {
    case KlKind::none: return {0.0, 0.0, false};
    case KlKind::k1: return {difference, 1.0, false};
    case KlKind::k2: return {0.5 * difference * difference, difference, false};
    case KlKind::k3: return {std::expm1(-difference) + difference, -std::expm1(-difference), false};
  }
  fail(ErrorCode::invalid_argument, "[policy_loss] Unknown `kl` " + std::to_string(static_cast<int>(kind)));
}

void expect_size(size_t received, size_t expected, const char* name) {
  if (received != expected)
    fail(ErrorCode::invalid_argument, std::string("[policy_loss] Expected ") + std::to_string(expected) +
                                          " values for `" + name + "` but received " + std::to_string(received));
}

void check_sizes(const LossConfig& config, const LossInputs& in, std::span<const double> sequence_log_ratio,
                 std::span<const int64_t> row_tokens, std::span<const float> dlogprob,
                 std::span<const float> dentropy) {
  const size_t entries = in.logprob.size();
  const bool supervised = config.kind == LossKind::cross_entropy;
  expect_size(in.weight.size(), entries, "weight");
  if (!supervised) expect_size(in.old_logprob.size(), entries, "old_logprob");
  if (!supervised) expect_size(in.advantage.size(), entries, "advantage");
  if (config.kl != KlKind::none) expect_size(in.ref_logprob.size(), entries, "ref_logprob");
  if (config.entropy_coef != 0.0) expect_size(in.entropy.size(), entries, "entropy");
  if (config.entropy_coef != 0.0) expect_size(dentropy.size(), entries, "dentropy");
  expect_size(dlogprob.size(), entries, "dlogprob");
  if (config.level != RatioLevel::sequence) return;
  expect_size(in.row.size(), entries, "row");
  expect_size(sequence_log_ratio.size(), row_tokens.size(), "sequence_log_ratio");
  std::vector<int64_t> first(row_tokens.size(), -1);
  for (size_t i = 0; i < entries; ++i) {
    if (in.row[i] < 0 || static_cast<size_t>(in.row[i]) >= row_tokens.size())
      fail(ErrorCode::invalid_argument, "[policy_loss] Expected `row` below " + std::to_string(row_tokens.size()) +
                                            " but received " + std::to_string(in.row[i]));
    int64_t& known = first[static_cast<size_t>(in.row[i])];
    if (known < 0) known = static_cast<int64_t>(i);
    const auto j = static_cast<size_t>(known);
    if (in.advantage[i] != in.advantage[j] || in.weight[i] != in.weight[j])
      fail(ErrorCode::invalid_argument,
           "[policy_loss] Expected one `advantage` and one `weight` for all entries of row " +
               std::to_string(in.row[i]) + ", since its ratio is one number");
  }
}

Term policy_term(const LossConfig& config, const LossInputs& in, std::span<const double> sequence_log_ratio, size_t i,
                 double& ratio) {
  const double logprob = in.logprob[i];
  if (config.kind == LossKind::cross_entropy) return {-logprob, -1.0, false};
  const double log_ratio = config.level == RatioLevel::sequence ? sequence_log_ratio[static_cast<size_t>(in.row[i])]
                                                                : logprob - static_cast<double>(in.old_logprob[i]);
  ratio = std::exp(log_ratio);
  return config.kind == LossKind::cispo ? cispo_term(config, ratio, in.advantage[i], logprob)
                                        : clipped_term(config, ratio, in.advantage[i]);
}

}  // namespace

std::vector<double> entry_weights(const LossConfig& config, std::span<const int32_t> row,
                                  std::span<const int64_t> row_tokens) {
  check_loss_config(config);
  double tokens = 0.0, rows = 0.0;
  for (const int64_t count : row_tokens) {
    tokens += static_cast<double>(count);
    rows += count > 0 ? 1.0 : 0.0;
  }
  const auto row_weight = [&](int64_t length) {
    switch (config.aggregation) {
      case Aggregation::token_mean: return 1.0 / tokens;
      case Aggregation::row_mean_token_mean: return 1.0 / (rows * static_cast<double>(length));
      case Aggregation::token_sum_fixed: return 1.0 / (rows * config.max_response_length);
      case Aggregation::row_mean_token_sum: return 1.0 / rows;
    }
    fail(ErrorCode::invalid_argument, "[entry_weights] Unknown `aggregation`");
  };
  std::vector<double> weights(row.size());
  for (size_t i = 0; i < row.size(); ++i) {
    if (row[i] < 0 || static_cast<size_t>(row[i]) >= row_tokens.size() || row_tokens[static_cast<size_t>(row[i])] < 1)
      fail(ErrorCode::invalid_argument, "[entry_weights] Expected `row_tokens` >= 1 for row " + std::to_string(row[i]));
    weights[i] = row_weight(row_tokens[static_cast<size_t>(row[i])]);
  }
  return weights;
}

LossSums policy_loss(const LossConfig& config, const LossInputs& in, std::span<const double> sequence_log_ratio,
                     std::span<const int64_t> row_tokens, std::span<float> dlogprob, std::span<float> dentropy) {
  check_loss_config(config);
  check_sizes(config, in, sequence_log_ratio, row_tokens, dlogprob, dentropy);
  LossSums sums;
  for (size_t i = 0; i < in.logprob.size(); ++i) {
    const double weight = in.weight[i];
    double ratio = 0.0;
    const Term policy = policy_term(config, in, sequence_log_ratio, i, ratio);
    double loss = policy.value, derivative = policy.derivative;
    if (config.kl != KlKind::none) {
      const Term kl = kl_term(config.kl, in.logprob[i], in.ref_logprob[i]);
      loss += config.kl_coef * kl.value;
      derivative += config.kl_coef * kl.derivative;
      sums.kl += weight * kl.value;
    }
    if (config.entropy_coef != 0.0) {
      loss -= config.entropy_coef * static_cast<double>(in.entropy[i]);
      dentropy[i] = static_cast<float>(-config.entropy_coef * weight);
    }
    dlogprob[i] = static_cast<float>(weight * derivative);
    sums.loss += weight * loss;
    sums.policy_loss += weight * policy.value;
    sums.clipped += policy.clipped ? weight : 0.0;
    sums.ratio_max = std::max(sums.ratio_max, ratio);
  }
  return sums;
}

}  // namespace ajet
