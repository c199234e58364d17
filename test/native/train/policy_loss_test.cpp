#include "train/policy_loss.h"

#include <cmath>
#include <set>

#include "fixtures.h"

namespace ajet::test {
namespace {

struct LossCase {
  LossConfig config;
  std::vector<float> logprob, old_logprob, ref_logprob, entropy;
  std::vector<double> advantage, weight, sequence_log_ratio;
  std::vector<int32_t> row;
  std::vector<int64_t> row_tokens;

  explicit LossCase(const Json& fixture)
      : config(read_config(fixture)),
        logprob(numbers<float>(fixture, "logprob")),
        old_logprob(numbers<float>(fixture, "old_logprob")),
        ref_logprob(numbers<float>(fixture, "ref_logprob")),
        entropy(numbers<float>(fixture, "entropy")),
        advantage(numbers<double>(fixture, "advantage")),
        row(numbers<int32_t>(fixture, "row")),
        row_tokens(numbers<int64_t>(fixture, "row_tokens")) {
    weight = entry_weights(config, row, row_tokens);
    sequence_log_ratio.assign(row_tokens.size(), 0.0);
    for (size_t i = 0; i < row.size(); ++i) {
      const auto r = static_cast<size_t>(row[i]);
      sequence_log_ratio[r] +=
          (static_cast<double>(logprob[i]) - static_cast<double>(old_logprob[i])) / static_cast<double>(row_tokens[r]);
    }
  }

  // Of the entries [first, first + count).
  LossSums run(size_t first, size_t count, std::vector<float>& dlogprob, std::vector<float>& dentropy) const {
    const auto part = [&](const auto& values) { return std::span(values).subspan(first, count); };
    const LossInputs in{part(logprob),   part(old_logprob), part(ref_logprob), part(entropy),
                        part(advantage), part(weight),      part(row)};
    return policy_loss(config, in, sequence_log_ratio, row_tokens, std::span(dlogprob).subspan(first, count),
                       std::span(dentropy).subspan(first, count));
  }
};

// One entry of advantage `advantage`; returns d loss / d logprob.
float single_derivative(const LossConfig& config, float logprob, float old_logprob, double advantage) {
  const std::vector<float> now{logprob}, old{old_logprob};
  const std::vector<double> a{advantage}, weight{1.0};
  std::vector<float> derivative(1);
  policy_loss(config, {.logprob = now, .old_logprob = old, .advantage = a, .weight = weight}, {}, {}, derivative, {});
  return derivative[0];
}

}  // namespace

TEST("policy_loss: loss and gradient of every preset and option equal PyTorch's autograd") {
  std::set<std::string> presets;
  for (const Json& fixture : load_cases("losses.json")) {
    presets.insert(text(fixture, "preset"));
    const LossCase c(fixture);
    std::vector<float> dlogprob(c.row.size()), dentropy(c.row.size());
    const LossSums sums = c.run(0, c.row.size(), dlogprob, dentropy);
    const auto close = [](double actual, double expected) {
      CHECK_LE(std::abs(actual - expected), 1e-9 * std::max(1.0, std::abs(expected)));
    };
    close(sums.loss, number(fixture, "loss"));
    close(sums.policy_loss, number(fixture, "policy_loss"));
    close(sums.kl, number(fixture, "kl"));
    CHECK_LE(relative_error(dlogprob, numbers<double>(fixture, "dlogprob")), 1e-7);
    CHECK_LE(relative_error(dentropy, numbers<double>(fixture, "dentropy")), 1e-7);
  }
  CHECK_EQ(presets.size(), loss_preset_names().size());
}

TEST("policy_loss: chunks add up to the whole") {
  for (const Json& fixture : load_cases("losses.json")) {
    const LossCase c(fixture);
    std::vector<float> whole(c.row.size()), whole_entropy(c.row.size()), parts(c.row.size()),
        parts_entropy(c.row.size());
    const LossSums expected = c.run(0, c.row.size(), whole, whole_entropy);
    double loss = 0.0, clipped = 0.0;
    for (size_t first = 0; first < c.row.size(); first += 3) {
      const LossSums sums = c.run(first, std::min<size_t>(3, c.row.size() - first), parts, parts_entropy);
      loss += sums.loss;
      clipped += sums.clipped;
    }
    CHECK_LE(std::abs(loss - expected.loss), 1e-12);
    CHECK_LE(std::abs(clipped - expected.clipped), 1e-12);
    CHECK(parts == whole);
    CHECK(parts_entropy == whole_entropy);
  }
}

TEST("policy_loss: at a clip's edge the unclipped branch holds, on policy the gradient is -A") {
  LossConfig config = loss_preset("trl-grpo");
  CHECK_EQ(single_derivative(config, -1.5F, -1.5F, 0.75), -0.75F);
  // exp(0) = 1 lies exactly on both edges of a clip of width 0.
  config.clip_low = config.clip_high = 0.0;
  CHECK_EQ(single_derivative(config, -1.5F, -1.5F, 0.75), -0.75F);
  CHECK_EQ(single_derivative(config, -1.5F, -1.5F, -0.75), 0.75F);
  CHECK_EQ(single_derivative(config, -1.4F, -1.5F, 0.75), 0.0F);
  CHECK(single_derivative(config, -1.4F, -1.5F, -0.75) > 0.75F);
}

TEST("policy_loss: clipped counts the weight of entries whose gradient was stopped") {
  LossConfig config = loss_preset("verl-grpo");
  const std::vector<float> old(5, -3.0F), now{-3.0F, -2.0F, -4.0F, -1.0F, -2.0F};
  const std::vector<double> a{1.0, 1.0, -1.0, -1.0, -1.0}, weight(5, 0.2);
  std::vector<float> d(5);
  const LossSums sums =
      policy_loss(config, {.logprob = now, .old_logprob = old, .advantage = a, .weight = weight}, {}, {}, d, {});
  CHECK_LE(std::abs(sums.clipped - 0.6), 1e-12);  // e > 1.2 with A > 0; 1/e < 0.8 and e² > 3 with A < 0
  CHECK(d[0] != 0.0F && d[1] == 0.0F && d[2] == 0.0F && d[3] == 0.0F && d[4] != 0.0F);
  CHECK_LE(std::abs(sums.ratio_max - std::exp(2.0)), 1e-12);
}

TEST("policy_loss: NaN reaches the loss") {
  const std::vector<float> now{std::nanf("")}, old{-1.0F};
  const std::vector<double> a{1.0}, weight{1.0};
  std::vector<float> d(1);
  for (const char* name : {"ajet", "verl-grpo", "cispo", "sft"}) {
    CHECK(std::isnan(policy_loss(loss_preset(name),
                                 {.logprob = now, .old_logprob = old, .advantage = a, .weight = weight}, {}, {}, d, {})
                         .loss));
  }
}

TEST("loss options: what a loss does not honour is refused") {
  const auto with = [](const char* preset, auto change) {
    LossConfig config = loss_preset(preset);
    change(config);
    return config;
  };
  CHECK_ERROR(loss_preset("grpo"),
              "Expected one of ajet, agentjet, trl-grpo, trl-dapo, dr-grpo, verl-grpo, gspo, cispo, sft");
  CHECK_ERROR(check_loss_config(loss_preset("dr-grpo")), "`max_response_length` > 0");
  CHECK_ERROR(check_loss_config(with("ajet", [](auto& c) { c.max_response_length = 10; })), "`max_response_length`");
  CHECK_ERROR(check_loss_config(with("cispo", [](auto& c) { c.dual_clip = 3; })), "`dual_clip` needs the clipped loss");
  CHECK_ERROR(check_loss_config(with("cispo", [](auto& c) { c.level = RatioLevel::sequence; })), "`level`");
  CHECK_ERROR(check_loss_config(with("sft", [](auto& c) { c.level = RatioLevel::sequence; })), "`level`");
  CHECK_ERROR(check_loss_config(with("ajet", [](auto& c) { c.kl_coef = 0.1; })), "`kl` is none");
  CHECK_ERROR(check_loss_config(with("ajet", [](auto& c) { c.dual_clip = 1.0; })), "`dual_clip`");
  CHECK_ERROR(check_loss_config(with("ajet", [](auto& c) { c.clip_low = -0.1; })), "`clip_low`");
  CHECK_ERROR(check_loss_config(with("cispo", [](auto& c) { c.cispo_high = -1; })), "`cispo_high`");
  CHECK_ERROR(check_loss_config(with("ajet", [](auto& c) { c.entropy_coef = std::nan(""); })), "`entropy_coef`");
  const std::vector<int64_t> row_tokens{0};
  const std::vector<int32_t> row{0};
  CHECK_ERROR(entry_weights(loss_preset("ajet"), row, row_tokens), "`row_tokens` >= 1");
}

TEST("policy_loss: arrays that do not fit together are refused") {
  const std::vector<float> two(2, -1.0F), one(1, -1.0F);
  const std::vector<double> weights(2, 0.5), advantage{1.0, 2.0}, log_ratio{0.0};
  const std::vector<int32_t> row{0, 0};
  const std::vector<int64_t> row_tokens{2};
  std::vector<float> d(2);
  const LossInputs in{.logprob = two, .old_logprob = two, .advantage = advantage, .weight = weights, .row = row};
  LossInputs short_old = in;
  short_old.old_logprob = one;
  CHECK_ERROR(policy_loss(loss_preset("ajet"), short_old, {}, {}, d, {}), "2 values for `old_logprob` but received 1");
  CHECK_ERROR(policy_loss(loss_preset("agentjet"), in, {}, {}, d, {}), "`ref_logprob`");
  CHECK_ERROR(policy_loss(loss_preset("gspo"), in, {}, row_tokens, d, {}), "`sequence_log_ratio`");
  CHECK_ERROR(policy_loss(loss_preset("gspo"), in, log_ratio, row_tokens, d, {}), "one `advantage` and one `weight`");
}

}  // namespace ajet::test
