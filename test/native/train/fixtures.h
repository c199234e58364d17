// Reads test/fixtures/losses/*.json, which PyTorch wrote (make_fixtures.py beside them).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "check.h"
#include "train/policy_loss.h"

namespace ajet::test {

inline std::vector<Json> load_cases(const std::string& name) {
  const Json json = Json::parse(read_text_file(std::string(AJET_LOSS_FIXTURES) + "/" + name));
  return *json.get<Json::Array>();
}

inline const Json& member(const Json& json, const std::string& key) {
  const Json* found = json.find(key);
  if (found == nullptr) throw Failure("the fixture has no " + key);
  return *found;
}

inline std::string text(const Json& json, const std::string& key) { return *member(json, key).get<std::string>(); }

inline double number(const Json& json) {
  double value = 0.0;
  if (!json.get_number(value)) throw Failure("the fixture has no number where one is expected: " + json.dump());
  return value;
}

inline double number(const Json& json, const std::string& key) { return number(member(json, key)); }

template <typename T>
std::vector<T> numbers(const Json& json, const std::string& key) {
  std::vector<T> out;
  for (const Json& value : *member(json, key).get<Json::Array>()) out.push_back(static_cast<T>(number(value)));
  return out;
}

// A preset with the fixture's overrides.
inline LossConfig read_config(const Json& fixture) {
  static const std::map<std::string, Aggregation> aggregations{
      {"token_mean", Aggregation::token_mean},
      {"row_mean_token_mean", Aggregation::row_mean_token_mean},
      {"token_sum_fixed", Aggregation::token_sum_fixed},
      {"row_mean_token_sum", Aggregation::row_mean_token_sum}};
  static const std::map<std::string, KlKind> kls{{"k1", KlKind::k1}, {"k2", KlKind::k2}, {"k3", KlKind::k3}};
  static const std::map<std::string, AdvantageScale> scales{
      {"none", AdvantageScale::none}, {"group", AdvantageScale::group}, {"batch", AdvantageScale::batch}};
  LossConfig config = loss_preset(text(fixture, "preset"));
  for (const auto& [key, value] : *member(fixture, "overrides").get<Json::Object>()) {
    if (key == "aggregation")
      config.aggregation = aggregations.at(*value.get<std::string>());
    else if (key == "kl")
      config.kl = kls.at(*value.get<std::string>());
    else if (key == "kl_coef")
      config.kl_coef = number(value);
    else if (key == "entropy_coef")
      config.entropy_coef = number(value);
    else if (key == "dual_clip")
      config.dual_clip = number(value);
    else if (key == "clip_low")
      config.clip_low = number(value);
    else if (key == "clip_high")
      config.clip_high = number(value);
    else if (key == "cispo_low")
      config.cispo_low = number(value);
    else if (key == "cispo_high")
      config.cispo_high = number(value);
    else if (key == "max_response_length")
      config.max_response_length = number(value);
    else if (key == "scale")
      config.advantage.scale = scales.at(*value.get<std::string>());
    else if (key == "std_ddof")
      config.advantage.std_ddof = static_cast<int32_t>(number(value));
    else if (key == "std_epsilon")
      config.advantage.std_epsilon = number(value);
    else
      throw Failure("the fixture has an unknown option " + key);
  }
  return config;
}

}  // namespace ajet::test
