// The pure functions, on the JS thread: no model and no device.
#include <napi.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"
#include "binding/call_arrays.h"
#include "binding/functions.h"
#include "binding/loss_options.h"
#include "binding/options.h"
#include "binding/typed_arrays.h"
#include "train/advantages.h"
#include "train/policy_loss.h"
#include "train/token_tree.h"

namespace ajet::binding {
namespace {

// Mean of new - old log-prob over each row's entries, as the trainer's first pass computes it.
std::vector<double> mean_log_ratio(const std::vector<float>& logprobs, const std::vector<float>& old_logprobs,
                                   const std::vector<int32_t>& rows, const std::vector<int64_t>& row_tokens) {
  std::vector<double> mean(row_tokens.size(), 0.0);
  for (size_t i = 0; i < logprobs.size(); ++i) {
    mean[static_cast<size_t>(rows[i])] += static_cast<double>(logprobs[i]) - static_cast<double>(old_logprobs[i]);
  }
  for (size_t r = 0; r < mean.size(); ++r) mean[r] /= static_cast<double>(std::max<int64_t>(row_tokens[r], 1));
  return mean;
}

// Entries in each row; rows are numbered from 0.
std::vector<int64_t> count_row_tokens(const std::vector<int32_t>& rows) {
  std::vector<int64_t> counts;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || static_cast<size_t>(rows[i]) >= rows.size()) {
      fail(ErrorCode::invalid_argument, "[grpoLoss] Expected an integer in [0, " + std::to_string(rows.size()) +
                                            ") for `rows[" + std::to_string(i) + "]` but received " +
                                            std::to_string(rows[i]));
    }
    const auto row = static_cast<size_t>(rows[i]);
    if (row >= counts.size()) counts.resize(row + 1, 0);
    ++counts[row];
  }
  return counts;
}

struct LossArrays {
  std::vector<float> logprobs, old_logprobs, ref_logprobs, entropies;
  std::vector<double> advantages;
  std::vector<int32_t> rows;
};

template <typename T>
void require_entries(const char* name, const std::vector<T>& values, size_t entries) {
  if (values.size() != entries) {
    fail(ErrorCode::invalid_argument, "[grpoLoss] Expected " + std::to_string(entries) + " values for `" + name +
                                          "` but received " + std::to_string(values.size()));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(static_cast<double>(values[i]))) {
      fail(ErrorCode::invalid_argument,
           std::string("[grpoLoss] Expected finite values for `") + name + "[" + std::to_string(i) + "]`");
    }
  }
}

LossArrays read_loss_arrays(Napi::Value value, const LossConfig& config) {
  constexpr const char* op = "grpoLoss";
  Options fields(op, value);
  LossArrays in;
  in.logprobs = copy_float32(op, "logprobs", fields.value("logprobs"));
  const size_t entries = in.logprobs.size();
  require_entries("logprobs", in.logprobs, entries);
  in.rows = copy_int32(op, "rows", fields.value("rows"));
  require_entries("rows", in.rows, entries);
  const bool needs_old = config.kind != LossKind::cross_entropy;
  if (needs_old || fields.given("oldLogprobs")) {
    in.old_logprobs = copy_float32(op, "oldLogprobs", fields.value("oldLogprobs"));
    require_entries("oldLogprobs", in.old_logprobs, entries);
  }
  if (needs_old || fields.given("advantages")) {
    in.advantages = copy_float64(op, "advantages", fields.value("advantages"));
    require_entries("advantages", in.advantages, entries);
  }
  if (config.kl != KlKind::none || fields.given("refLogprobs")) {
    in.ref_logprobs = copy_float32(op, "refLogprobs", fields.value("refLogprobs"));
    require_entries("refLogprobs", in.ref_logprobs, entries);
  }
  if (config.entropy_coef != 0.0 || fields.given("entropies")) {
    in.entropies = copy_float32(op, "entropies", fields.value("entropies"));
    require_entries("entropies", in.entropies, entries);
  }
  fields.finish();
  return in;
}

}  // namespace

// (rewards, groups, options) => { advantages, kept }
Napi::Value compute_advantages(const Napi::CallbackInfo& info) {
  constexpr const char* op = "computeAdvantages";
  const std::vector<double> rewards = copy_float64(op, "rewards", info[0]);
  const std::vector<int32_t> groups = copy_int32(op, "groups", info[1]);
  Options options(op, info[2]);
  AdvantageConfig config;
  read_advantage_options(options, config);
  options.finish();
  const Advantages advantages = ajet::compute_advantages(rewards, groups, config);
  const Napi::Object out = Napi::Object::New(info.Env());
  out.Set("advantages", to_js(info.Env(), advantages.values));
  out.Set("kept", to_js(info.Env(), advantages.kept));
  return out;
}

// (inputs, options) => GrpoLoss
Napi::Value grpo_loss(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const LossConfig config = read_loss_options("grpoLoss", info[1]);
  const LossArrays in = read_loss_arrays(info[0], config);
  const std::vector<int64_t> row_tokens = count_row_tokens(in.rows);
  const std::vector<double> weights = entry_weights(config, in.rows, row_tokens);
  const bool sequence = config.level == RatioLevel::sequence;
  const std::vector<double> log_ratio =
      sequence ? mean_log_ratio(in.logprobs, in.old_logprobs, in.rows, row_tokens) : std::vector<double>();
  std::vector<float> dlogprobs(in.logprobs.size()), dentropies(config.entropy_coef != 0.0 ? in.logprobs.size() : 0);
  const LossSums sums = policy_loss(config,
                                    {.logprob = in.logprobs,
                                     .old_logprob = in.old_logprobs,
                                     .ref_logprob = in.ref_logprobs,
                                     .entropy = in.entropies,
                                     .advantage = in.advantages,
                                     .weight = weights,
                                     .row = in.rows},
                                    log_ratio, row_tokens, dlogprobs, dentropies);
  const Napi::Object out = Napi::Object::New(env);
  out.Set("loss", sums.loss);
  out.Set("policyLoss", sums.policy_loss);
  out.Set("kl", sums.kl);
  out.Set("clipped", sums.clipped);
  out.Set("ratioMax", sums.ratio_max);
  out.Set("weights", to_js(env, weights));
  out.Set("dLogprobs", to_js(env, dlogprobs));
  out.Set("dEntropies", to_js(env, dentropies));
  return out;
}

// (calls) => { offsets, tokens, mask, episodes, fates }: row r is the timeline of the r-th call that owns a row.
Napi::Value loss_mask(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  constexpr int64_t any = std::numeric_limits<int32_t>::max();
  const CallArrays arrays = copy_calls("lossMask", info[0], any, any);
  const std::vector<CallChoice> calls = arrays.choices();
  const TokenTree tree = build_token_tree(calls);
  std::vector<int32_t> offsets{0}, tokens;
  std::vector<uint8_t> fates(calls.size());
  for (size_t i = 0; i < calls.size(); ++i) {
    fates[i] = static_cast<uint8_t>(tree.fates[i]);
    if (tree.fates[i] != CallFate::trained) continue;
    tokens.insert(tokens.end(), calls[i].prompt.begin(), calls[i].prompt.end());
    tokens.insert(tokens.end(), calls[i].sampled.begin(), calls[i].sampled.end());
    offsets.push_back(static_cast<int32_t>(tokens.size()));
  }
  std::vector<uint8_t> mask(tokens.size(), 0);
  for (const Entry& entry : tree.entries) {
    const int32_t position = tree.positions[static_cast<size_t>(entry.parent_token)] + 1;
    mask[static_cast<size_t>(offsets[static_cast<size_t>(entry.row)] + position)] = 1;
  }
  const Napi::Object out = Napi::Object::New(env);
  out.Set("offsets", to_js(env, offsets));
  out.Set("tokens", to_js(env, tokens));
  out.Set("mask", to_js(env, mask));
  out.Set("episodes", to_js(env, tree.row_episode));
  out.Set("fates", to_js(env, fates));
  return out;
}

// () => Record<preset, its choices>
Napi::Value loss_presets(const Napi::CallbackInfo& info) {
  const Napi::Object out = Napi::Object::New(info.Env());
  for (const std::string& name : loss_preset_names()) out.Set(name, loss_config_to_js(info.Env(), loss_preset(name)));
  return out;
}

}  // namespace ajet::binding
