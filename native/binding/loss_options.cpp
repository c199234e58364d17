#include "binding/loss_options.h"

#include <string>
#include <utility>
#include <vector>

#include "binding/options.h"

namespace ajet::binding {
namespace {

template <typename Enum>
using Names = std::vector<std::pair<const char*, Enum>>;

const Names<LossKind> kind_names = {
    {"clipped", LossKind::clipped}, {"cispo", LossKind::cispo}, {"cross_entropy", LossKind::cross_entropy}};
const Names<RatioLevel> level_names = {{"token", RatioLevel::token}, {"sequence", RatioLevel::sequence}};
const Names<Aggregation> aggregation_names = {{"token_mean", Aggregation::token_mean},
                                              {"row_mean_token_mean", Aggregation::row_mean_token_mean},
                                              {"token_sum_fixed", Aggregation::token_sum_fixed},
                                              {"row_mean_token_sum", Aggregation::row_mean_token_sum}};
const Names<KlKind> kl_names = {{"none", KlKind::none}, {"k1", KlKind::k1}, {"k2", KlKind::k2}, {"k3", KlKind::k3}};
const Names<AdvantageScale> scale_names = {
    {"none", AdvantageScale::none}, {"group", AdvantageScale::group}, {"batch", AdvantageScale::batch}};

template <typename Enum>
const char* name_of(const Names<Enum>& names, Enum value) {
  for (const auto& [name, candidate] : names) {
    if (candidate == value) return name;
  }
  return "";
}

}  // namespace

void read_advantage_options(Options& options, AdvantageConfig& config) {
  config.scale = options.choice("advantageScale", config.scale, scale_names);
  config.std_ddof = static_cast<int32_t>(options.integer("stdDdof", config.std_ddof, 0, 1));
  config.std_epsilon = options.number("stdEpsilon", config.std_epsilon, {.low = 0});
  config.drop_equal_groups = options.flag("dropEqualGroups", config.drop_equal_groups);
}

LossConfig read_loss_options(const char* op, Napi::Value value) {
  Options options(op, value);
  LossConfig config = loss_preset(options.text("preset", "ajet"));
  config.level = options.choice("level", config.level, level_names);
  config.aggregation = options.choice("aggregation", config.aggregation, aggregation_names);
  config.clip_low = options.number("clipLow", config.clip_low, {.low = 0});
  config.clip_high = options.number("clipHigh", config.clip_high, {.low = 0});
  config.dual_clip = options.number("dualClip", config.dual_clip, {.low = 0});
  config.cispo_low = options.number("cispoLow", config.cispo_low, {.low = 0});
  config.cispo_high = options.number("cispoHigh", config.cispo_high, {.low = 0});
  config.max_response_length = options.number("maxResponseLength", config.max_response_length, {.low = 0});
  config.kl = options.choice("kl", config.kl, kl_names);
  config.kl_coef = options.number("klCoef", config.kl_coef, {.low = 0});
  config.entropy_coef = options.number("entropyCoef", config.entropy_coef);
  read_advantage_options(options, config.advantage);
  options.finish();
  return config;
}

Napi::Object loss_config_to_js(Napi::Env env, const LossConfig& config) {
  const Napi::Object out = Napi::Object::New(env);
  out.Set("kind", name_of(kind_names, config.kind));
  out.Set("level", name_of(level_names, config.level));
  out.Set("aggregation", name_of(aggregation_names, config.aggregation));
  out.Set("clipLow", config.clip_low);
  out.Set("clipHigh", config.clip_high);
  out.Set("dualClip", config.dual_clip);
  out.Set("cispoLow", config.cispo_low);
  out.Set("cispoHigh", config.cispo_high);
  out.Set("maxResponseLength", config.max_response_length);
  out.Set("kl", name_of(kl_names, config.kl));
  out.Set("klCoef", config.kl_coef);
  out.Set("entropyCoef", config.entropy_coef);
  out.Set("advantageScale", name_of(scale_names, config.advantage.scale));
  out.Set("stdDdof", config.advantage.std_ddof);
  out.Set("stdEpsilon", config.advantage.std_epsilon);
  out.Set("dropEqualGroups", config.advantage.drop_equal_groups);
  return out;
}

}  // namespace ajet::binding
