// What the PyTorch twin needs to do the same work: models and inputs, in folders that both sides know.
#pragma once

#include <string>

#include "base/json.h"
#include "model/model.h"

namespace ajet::bench {

// EXCHANGE/models/NAME as a Hugging Face folder, in bfloat16 where the backend computes in it; once.
void exchange_model(const std::string& exchange, const std::string& name, const Model& model);
// EXCHANGE/inputs/FIGURE.jsonl gets one more line. A figure's first line begins the file anew.
void exchange_inputs(const std::string& exchange, const std::string& figure, bool first, const Json& inputs);

template <typename T>
Json json_array(const std::vector<T>& values) {
  Json::Array array;
  array.reserve(values.size());
  for (const T& value : values) {
    if constexpr (std::is_integral_v<T>) {
      array.emplace_back(int64_t{value});
    } else if constexpr (std::is_floating_point_v<T>) {
      array.emplace_back(value);
    } else {
      array.push_back(json_array(value));
    }
  }
  return array;
}

}  // namespace ajet::bench
