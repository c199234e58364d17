// config.json of the three families, as published, as transformers writes it today, and everything refused.
#include "check.h"
#include "model/model_config.h"
#include "model_fixtures.h"

namespace ajet::test {
namespace {

constexpr const char* sizes =
    R"("vocab_size": 100, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
     "num_attention_heads": 4)";

// A valid configuration with members added in front (of keys that are not set here).
std::string config_json(const std::string& model_type, const std::string& extra = "") {
  return "{" + extra + (extra.empty() ? "" : ", ") + R"("model_type": ")" + model_type + "\", " + sizes + "}";
}

ModelConfig parse(const std::string& model_type, const std::string& extra = "") {
  return parse_model_config(config_json(model_type, extra));
}

std::string text_of(const ModelConfig& config) { return model_config_to_json(config, "float32"); }

}  // namespace

TEST("config: Qwen2.5-0.5B as published") {
  const ModelConfig config = parse_model_config(R"({
    "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645,
    "hidden_act": "silu", "hidden_size": 896, "initializer_range": 0.02, "intermediate_size": 4864,
    "max_position_embeddings": 32768, "max_window_layers": 21, "model_type": "qwen2", "num_attention_heads": 14,
    "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
    "sliding_window": 32768, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
    "transformers_version": "4.43.1", "use_cache": true, "use_sliding_window": false, "vocab_size": 151936})");
  CHECK_EQ(config.head_dim, 64);
  CHECK_EQ(config.kv_heads, 2);
  CHECK_EQ(config.rope_theta, 1000000.0);
  CHECK_EQ(config.parameters(), 494032768);  // as the model card's safetensors say
  CHECK(config.qkv_bias && !config.output_bias && !config.mlp_bias && !config.qk_norm && config.tie_word_embeddings);
}

TEST("config: defaults of the families") {
  CHECK_EQ(parse("llama").kv_heads, 4);
  CHECK_EQ(parse("llama").head_dim, 8);
  CHECK_EQ(parse("llama").max_position_embeddings, 2048);
  CHECK_EQ(parse("llama").rope_theta, 10000.0);
  CHECK_EQ(parse("qwen3").head_dim, 128);
  CHECK_EQ(parse("qwen3", R"("head_dim": null)").head_dim, 8);
  CHECK(parse("qwen3").qk_norm && !parse("qwen3").qkv_bias);
  CHECK(parse("qwen2").qkv_bias && !parse("qwen2").output_bias);
  const ModelConfig llama = parse("llama", R"("attention_bias": true, "mlp_bias": true, "head_dim": 16)");
  CHECK(llama.qkv_bias && llama.output_bias && llama.mlp_bias && llama.head_dim == 16);
}

TEST("config: rope_theta beside rope_scaling, or within rope_parameters") {
  CHECK_EQ(parse("qwen3", R"("rope_theta": 5e5, "rope_scaling": null)").rope_theta, 5e5);
  CHECK_EQ(parse("qwen3", R"("rope_parameters": {"rope_theta": 5e5, "rope_type": "default"})").rope_theta, 5e5);
  CHECK_EQ(parse("qwen3", R"("rope_theta": 5e5, "rope_scaling": {"type": "default"})").rope_theta, 5e5);
  const char* llama3 = R"("rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
      "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192})";
  CHECK_EQ(parse("llama", llama3).rope_scaling.original_max_position_embeddings, 8192);
}

TEST("config: llama3 scaling keeps high frequencies and divides low ones") {
  ModelConfig config = parse("llama", R"("head_dim": 64)");
  const std::vector<float> plain = rope_inverse_frequencies(config);
  config.rope_scaling = {
      .factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_max_position_embeddings = 64};
  const std::vector<float> scaled = rope_inverse_frequencies(config);
  CHECK_EQ(plain.size(), size_t{32});
  CHECK_EQ(plain.front(), 1.0F);
  CHECK_EQ(scaled.front(), 1.0F);
  CHECK_EQ(scaled.back(), plain.back() / 8);
}

TEST("config: what is written is read back, key by key") {
  for (const std::string model_type : {"qwen2", "qwen3", "llama"}) {
    ModelConfig config = tiny_config(model_type);
    config.rms_norm_eps = 1e-5F;
    config.max_position_embeddings = 131072;
    if (model_type == "llama") config.rope_scaling = {32, 1, 4, 8192};
    const std::string text = text_of(config);
    CHECK_EQ(text_of(parse_model_config(text)), text);
    CHECK_EQ(parse_model_config(text).parameters(), config.parameters());
    CHECK(text.find("\"rms_norm_eps\": 1e-05") != std::string::npos);
  }
}

TEST("config: what the fixtures' transformers wrote has the parameters counted") {
  for (const std::string name : {"qwen2-tied", "qwen3-untied", "llama-untied"}) {
    const auto model = Model::load(make_cpu_backend(1), std::string(AJET_FIXTURES) + "/parity/" + name);
    int64_t elements = 0;
    for (const auto& tensor : read_all(model->weights())) elements += static_cast<int64_t>(tensor.size());
    CHECK_EQ(elements, model->config().parameters());
  }
}

TEST("config: every unsupported value is named with its key and what is supported") {
  CHECK_ERROR(parse("mistral"), "Expected \"qwen2\", \"qwen3\" or \"llama\" for `model_type` but received \"mistral\"");
  CHECK_ERROR(parse_model_config("{}"), "`model_type` but received nothing");
  CHECK_ERROR(parse_model_config("[]"), "Expected an object");
  CHECK_ERROR(parse_model_config("{"), "Expected JSON");
  CHECK_ERROR(parse_model_config(R"({"model_type": "llama"})"),
              "a positive integer for `vocab_size` but received nothing");
  CHECK_ERROR(parse("llama", R"("hidden_act": "gelu")"), "Expected \"silu\" for `hidden_act` but received \"gelu\"");
  CHECK_ERROR(parse("qwen2", R"("use_sliding_window": true)"), "Expected false for `use_sliding_window`");
  CHECK_ERROR(parse("qwen3", R"("layer_types": ["full_attention", "sliding_attention"])"),
              "`layer_types` but received \"sliding_attention\"");
  CHECK_ERROR(parse("llama", R"("rope_scaling": {"rope_type": "yarn", "factor": 4.0})"),
              "Expected \"default\" or \"llama3\" for `rope_scaling.rope_type` but received \"yarn\"");
  CHECK_ERROR(parse("llama", R"("rope_scaling": {"type": "linear", "factor": 4.0})"), "received \"linear\"");
  CHECK_ERROR(parse("llama", R"("rope_scaling": {"rope_type": "llama3"})"),
              "`rope_scaling.factor` but received nothing");
  CHECK_ERROR(parse("llama", R"("rope_parameters": {"partial_rotary_factor": 0.5})"), "partial_rotary_factor");
  CHECK_ERROR(parse("llama", R"("num_key_value_heads": 3)"), "a divisor of `num_attention_heads` (4)");
  CHECK_ERROR(parse("llama", R"("head_dim": 7)"), "Expected an even number for `head_dim` but received 7");
  CHECK_ERROR(parse("llama", R"("head_dim": -8)"), "`head_dim` but received -8");
  CHECK_ERROR(parse("llama", R"("head_dim": 2000000000)"), "at most 2^38 parameters");
  CHECK_ERROR(parse("llama", R"("rms_norm_eps": "small")"), "`rms_norm_eps` but received \"small\"");
  CHECK_ERROR(parse("llama", R"("tie_word_embeddings": 1)"), "true or false for `tie_word_embeddings` but received 1");
  CHECK_ERROR(parse("llama", R"("quantization_config": {"bits": 4})"), "quantization_config");
  CHECK_ERROR(parse("llama", R"("rope_theta": 1, "rope_theta": 2)"), "`rope_theta` twice");
}

}  // namespace ajet::test
