#include "model/model_config.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "base/error.h"
#include "base/json.h"

namespace ajet {
namespace {

constexpr const char* op = "[config.json] ";

[[noreturn]] void unsupported(const std::string& key, const std::string& value, const std::string& supported) {
  fail(ErrorCode::invalid_argument, op + ("Expected " + supported) + " for `" + key + "` but received " + value);
}

[[noreturn]] void unsupported_value(const std::string& key, const Json& value, const std::string& supported) {
  unsupported(key, value.dump(), supported);
}

// Typed access to the keys of an object; an absent key and null mean the fallback.
class Section {
 public:
  Section(const Json& json, std::string prefix = "") : json_(json), prefix_(std::move(prefix)) {}

  const Json* find(const std::string& key) const {
    const Json* value = json_.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  const Json& need(const std::string& key, const char* what) const {
    const Json* value = find(key);
    if (value == nullptr) unsupported(prefix_ + key, json_.find(key) == nullptr ? "nothing" : "null", what);
    return *value;
  }
  int64_t size(const std::string& key) const {
    const Json& value = need(key, "a positive integer");
    const int64_t* whole = value.get<int64_t>();
    if (whole == nullptr || *whole < 1 || *whole > INT32_MAX)
      unsupported_value(prefix_ + key, value, "a positive integer");
    return *whole;
  }
  int64_t size_or(const std::string& key, int64_t fallback) const {
    return find(key) == nullptr ? fallback : size(key);
  }
  double positive(const std::string& key) const {
    const Json& value = need(key, "a positive number");
    double number = 0;
    if (!value.get_number(number) || !(number > 0)) unsupported_value(prefix_ + key, value, "a positive number");
    return number;
  }
  double positive_or(const std::string& key, double fallback) const {
    return find(key) == nullptr ? fallback : positive(key);
  }
  bool flag_or(const std::string& key, bool fallback) const {
    const Json* value = find(key);
    if (value == nullptr) return fallback;
    if (value->get<bool>() == nullptr) unsupported_value(prefix_ + key, *value, "true or false");
    return *value->get<bool>();
  }
  std::string text_or(const std::string& key, const std::string& fallback) const {
    const Json* value = find(key);
    if (value == nullptr) return fallback;
    if (value->get<std::string>() == nullptr) unsupported_value(prefix_ + key, *value, "a string");
    return *value->get<std::string>();
  }

 private:
  const Json& json_;
  std::string prefix_;
};

// transformers 5 writes `rope_parameters` with rope_theta inside; before, `rope_theta` stood beside `rope_scaling`,
// whose type was called `type` at first.
void parse_rope(ModelConfig& config, const Section& root) {
  config.rope_theta = root.positive_or("rope_theta", config.rope_theta);
  for (const std::string key : {"rope_scaling", "rope_parameters"}) {
    const Json* value = root.find(key);
    if (value == nullptr) continue;
    if (value->get<Json::Object>() == nullptr) unsupported_value(key, *value, "null or an object");
    const Section rope(*value, key + ".");
    config.rope_theta = rope.positive_or("rope_theta", config.rope_theta);
    if (rope.positive_or("partial_rotary_factor", 1) != 1) {
      unsupported_value(key + ".partial_rotary_factor", *rope.find("partial_rotary_factor"), "1");
    }
    const std::string type = rope.text_or("rope_type", rope.text_or("type", "default"));
    if (type == "llama3") {
      Llama3RopeScaling& scaling = config.rope_scaling;
      scaling.factor = rope.positive("factor");
      scaling.low_freq_factor = rope.positive("low_freq_factor");
      scaling.high_freq_factor = rope.positive("high_freq_factor");
      scaling.original_max_position_embeddings = rope.size("original_max_position_embeddings");
      if (scaling.high_freq_factor <= scaling.low_freq_factor) {
        unsupported_value(key + ".high_freq_factor", *rope.find("high_freq_factor"),
                          "a number above `low_freq_factor`");
      }
    } else if (type != "default") {
      unsupported_value(key + ".rope_type", Json(type), "\"default\" or \"llama3\"");
    }
  }
}

void refuse_other_architectures(const Section& root) {
  const std::string activation = root.text_or("hidden_act", "silu");
  if (activation != "silu") unsupported_value("hidden_act", Json(activation), "\"silu\"");
  if (root.flag_or("use_sliding_window", false)) unsupported("use_sliding_window", "true", "false");
  if (const Json* types = root.find("layer_types")) {
    const auto* list = types->get<Json::Array>();
    if (list == nullptr) unsupported_value("layer_types", *types, "a list");
    for (const Json& type : *list) {
      const std::string* name = type.get<std::string>();
      if (name == nullptr || *name != "full_attention")
        unsupported_value("layer_types", type, "\"full_attention\" everywhere");
    }
  }
  if (root.find("quantization_config") != nullptr) {
    unsupported_value("quantization_config", *root.find("quantization_config"), "unquantized weights, so nothing");
  }
}

void check_heads(const ModelConfig& config, bool explicit_head_dim) {
  if (config.heads % config.kv_heads != 0) {
    unsupported("num_key_value_heads", std::to_string(config.kv_heads),
                "a divisor of `num_attention_heads` (" + std::to_string(config.heads) + ")");
  }
  if (!explicit_head_dim && config.hidden_size % config.heads != 0) {
    unsupported(
        "num_attention_heads", std::to_string(config.heads),
        "a divisor of `hidden_size` (" + std::to_string(config.hidden_size) + ") where `head_dim` is not given");
  }
  if (config.head_dim % 2 != 0) unsupported("head_dim", std::to_string(config.head_dim), "an even number");
}

// Keeps products of sizes within int64_t.
void check_total(const ModelConfig& config) {
  constexpr double most = 0x1p38;
  const auto widest =
      static_cast<double>(std::max({config.heads * config.head_dim, config.intermediate_size, config.vocab_size}));
  if (widest * static_cast<double>(config.hidden_size) * static_cast<double>(config.layers) > most) {
    unsupported("hidden_size", std::to_string(config.hidden_size), "sizes that make at most 2^38 parameters");
  }
}

}  // namespace

int64_t ModelConfig::parameters() const {
  const int64_t q = heads * head_dim, kv = kv_heads * head_dim;
  int64_t layer = hidden_size * (2 * q + 2 * kv) + 3 * hidden_size * intermediate_size + 2 * hidden_size;
  if (qkv_bias) layer += q + 2 * kv;
  if (output_bias) layer += hidden_size;
  if (mlp_bias) layer += 2 * intermediate_size + hidden_size;
  if (qk_norm) layer += 2 * head_dim;
  return layers * layer + hidden_size + (tie_word_embeddings ? 1 : 2) * vocab_size * hidden_size;
}

ModelConfig parse_model_config(const std::string& config_json) {
  Json json;
  try {
    json = Json::parse(config_json);
  } catch (const Error& error) {
    fail(ErrorCode::invalid_argument, op + std::string("Expected JSON: ") + error.what());
  }
  if (json.get<Json::Object>() == nullptr) unsupported_value("config.json", json, "an object");
  const Section root(json);

  ModelConfig config;
  config.model_type = root.text_or("model_type", "");
  const bool qwen2 = config.model_type == "qwen2", qwen3 = config.model_type == "qwen3";
  const bool llama = config.model_type == "llama";
  if (!qwen2 && !qwen3 && !llama) {
    unsupported("model_type", root.find("model_type") == nullptr ? "nothing" : Json(config.model_type).dump(),
                "\"qwen2\", \"qwen3\" or \"llama\"");
  }
  refuse_other_architectures(root);
  config.vocab_size = root.size("vocab_size");
  config.hidden_size = root.size("hidden_size");
  config.intermediate_size = root.size("intermediate_size");
  config.layers = root.size("num_hidden_layers");
  config.heads = root.size("num_attention_heads");
  config.kv_heads = root.size_or("num_key_value_heads", config.heads);
  // What is absent has the default of the family's configuration class in transformers.
  const int64_t default_head_dim = qwen3 && json.find("head_dim") == nullptr ? 128 : config.hidden_size / config.heads;
  config.head_dim = root.size_or("head_dim", default_head_dim);
  check_heads(config, root.find("head_dim") != nullptr || qwen3);
  config.max_position_embeddings = root.size_or("max_position_embeddings", llama ? 2048 : 32768);
  config.rms_norm_eps = static_cast<float>(root.positive_or("rms_norm_eps", 1e-6));
  config.tie_word_embeddings = root.flag_or("tie_word_embeddings", false);
  const bool attention_bias = !qwen2 && root.flag_or("attention_bias", false);
  config.qkv_bias = qwen2 || attention_bias;
  config.output_bias = attention_bias;
  config.mlp_bias = llama && root.flag_or("mlp_bias", false);
  config.qk_norm = qwen3;
  check_total(config);
  parse_rope(config, root);
  return config;
}

std::string model_config_to_json(const ModelConfig& config, const std::string& dtype) {
  const bool llama = config.model_type == "llama";
  const char* architecture = llama                          ? "LlamaForCausalLM"
                             : config.model_type == "qwen2" ? "Qwen2ForCausalLM"
                                                            : "Qwen3ForCausalLM";
  Json scaling;
  if (config.rope_scaling.factor > 0) {
    scaling = Json::Object{{"rope_type", "llama3"},
                           {"factor", config.rope_scaling.factor},
                           {"low_freq_factor", config.rope_scaling.low_freq_factor},
                           {"high_freq_factor", config.rope_scaling.high_freq_factor},
                           {"original_max_position_embeddings", config.rope_scaling.original_max_position_embeddings}};
  }
  Json::Object out{{"architectures", Json::Array{architecture}},
                   {"model_type", config.model_type},
                   {"vocab_size", config.vocab_size},
                   {"hidden_size", config.hidden_size},
                   {"intermediate_size", config.intermediate_size},
                   {"num_hidden_layers", config.layers},
                   {"num_attention_heads", config.heads},
                   {"num_key_value_heads", config.kv_heads},
                   {"head_dim", config.head_dim},
                   {"hidden_act", "silu"},
                   {"max_position_embeddings", config.max_position_embeddings},
                   {"rms_norm_eps", config.rms_norm_eps},
                   {"rope_theta", config.rope_theta},
                   {"rope_scaling", scaling},
                   {"tie_word_embeddings", config.tie_word_embeddings}};
  if (config.model_type != "qwen2") out.emplace_back("attention_bias", config.output_bias);
  if (llama) out.emplace_back("mlp_bias", config.mlp_bias);
  if (!llama) out.emplace_back("use_sliding_window", false);
  out.emplace_back("torch_dtype", dtype);
  return Json(std::move(out)).dump(2) + "\n";
}

std::vector<float> rope_inverse_frequencies(const ModelConfig& config) {
  std::vector<float> frequencies;
  const Llama3RopeScaling& scaling = config.rope_scaling;
  for (int64_t i = 0; i < config.head_dim; i += 2) {
    double frequency = std::pow(config.rope_theta, -static_cast<double>(i) / static_cast<double>(config.head_dim));
    if (scaling.factor > 0) {
      // Periods within the original context; below low_freq_factor all is scaled, above high_freq_factor nothing.
      const double periods =
          static_cast<double>(scaling.original_max_position_embeddings) * frequency / (2 * std::numbers::pi);
      const double kept = std::clamp(
          (periods - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor), 0.0, 1.0);
      frequency *= kept + (1 - kept) / scaling.factor;
    }
    frequencies.push_back(static_cast<float>(frequency));
  }
  return frequencies;
}

}  // namespace ajet
