// The GRPO family as pure functions over arrays: loss and d loss / d log-prob.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "train/advantages.h"

namespace ajet {

enum class LossKind : uint8_t { clipped = 0, cispo = 1, cross_entropy = 2 };
enum class RatioLevel : uint8_t { token = 0, sequence = 1 };
enum class Aggregation : uint8_t {
  token_mean = 0,
  row_mean_token_mean = 1,
  token_sum_fixed = 2,
  row_mean_token_sum = 3
};
enum class KlKind : uint8_t { none = 0, k1 = 1, k2 = 2, k3 = 3 };

struct LossConfig {
  LossKind kind = LossKind::clipped;
  RatioLevel level = RatioLevel::token;
  Aggregation aggregation = Aggregation::token_mean;
  double clip_low = 0.2;
  double clip_high = 0.28;
  double dual_clip = 0.0;  // 0: off; else > 1
  double cispo_low = 0.0, cispo_high = 5.0;
  double max_response_length = 0.0;  // token_sum_fixed: divisor is rows * this
  KlKind kl = KlKind::none;
  double kl_coef = 0.0;
  double entropy_coef = 0.0;  // loss -= coef * mean entropy
  AdvantageConfig advantage;
};

// "ajet", "agentjet", "trl-grpo", "trl-dapo", "dr-grpo", "verl-grpo", "gspo", "cispo", "sft". Throws
// invalid_argument with the list of names.
LossConfig loss_preset(const std::string& name);
std::vector<std::string> loss_preset_names();

// Throws invalid_argument where a value is out of range or the loss does not honour an option that is set. The
// functions below call it.
void check_loss_config(const LossConfig& config);

// One array element per entry.
struct LossInputs {
  std::span<const float> logprob = {};      // new
  std::span<const float> old_logprob = {};  // unused by cross_entropy, as `advantage`
  std::span<const float> ref_logprob = {};  // empty without KL
  std::span<const float> entropy = {};      // empty without entropy_coef
  std::span<const double> advantage = {};
  std::span<const double> weight = {};  // from entry_weights()
  std::span<const int32_t> row = {};    // for sequence level
};

struct LossSums {
  double loss = 0.0;  // Σ weight * token loss, KL and entropy terms included
  double policy_loss = 0.0;
  double kl = 0.0;       // Σ weight * kl (without coef)
  double clipped = 0.0;  // Σ weight over entries whose gradient the clip stopped
  double ratio_max = 0.0;
};

// weight[i] of every entry from the rows' lengths (kept entries of the WHOLE step, before the first
// micro-batch), by the aggregation; rows without entries do not count.
std::vector<double> entry_weights(const LossConfig& config, std::span<const int32_t> row,
                                  std::span<const int64_t> row_tokens);

// dlogprob[i] = d loss / d logprob[i]; dentropy[i] = d loss / d entropy[i] (filled when entropy_coef != 0).
// Token level: any subset of the step's entries may be passed. Sequence level: `sequence_log_ratio` per row over
// the whole row must be given (mean of logprob - old over the row's entries) and `row_tokens`.
LossSums policy_loss(const LossConfig& config, const LossInputs& in, std::span<const double> sequence_log_ratio,
                     std::span<const int64_t> row_tokens, std::span<float> dlogprob, std::span<float> dentropy);

}  // namespace ajet
