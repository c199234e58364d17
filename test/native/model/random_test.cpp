// Random weights by seed and tensor name, copies, and versions.
#include <cmath>

#include "check.h"
#include "model_fixtures.h"

namespace ajet::test {

TEST("random: the same seed gives the same weights for any number of threads, another seed others") {
  const ModelConfig config = tiny_config("llama");
  const auto first = read_all(Model::random(make_cpu_backend(1), config, 5)->weights());
  CHECK(first == read_all(Model::random(make_cpu_backend(2), config, 5)->weights()));
  CHECK(first != read_all(Model::random(make_cpu_backend(1), config, 6)->weights()));
}

TEST("random: a tensor depends on its name, not on the layout around it") {
  ModelConfig config = tiny_config("qwen2");
  const auto tied = [&](bool tie) {
    config.tie_word_embeddings = tie;
    config.layers = tie ? 1 : 2;
    return Model::random(make_cpu_backend(1), config, 5);
  };
  const auto one = tied(true), two = tied(false);
  const auto values = [](const Model& model, const std::string& name) {
    std::vector<float> out;
    for (const ParameterSlice& slice : model.weights().layout().slices) {
      if (slice.hf_name == name) model.weights().read(slice, out);
    }
    return out;
  };
  for (const std::string name : {"model.embed_tokens.weight", "model.layers.0.self_attn.k_proj.weight"}) {
    CHECK(!values(*one, name).empty());
    CHECK(values(*one, name) == values(*two, name));
  }
  CHECK(values(*two, "model.layers.0.self_attn.k_proj.weight") !=
        values(*two, "model.layers.1.self_attn.k_proj.weight"));
  CHECK(values(*two, "lm_head.weight") != values(*two, "model.embed_tokens.weight"));
  CHECK(values(*two, "lm_head.weight").size() == values(*two, "model.embed_tokens.weight").size());
}

TEST("random: normal(0, 0.02) matrices, ones for norms, zeros for biases") {
  const auto model = Model::random(make_cpu_backend(1), tiny_config("llama"), 1);
  double sum = 0, squares = 0, count = 0;
  for (const ParameterSlice& slice : model->weights().layout().slices) {
    std::vector<float> values;
    model->weights().read(slice, values);
    if (slice.hf_name.ends_with("norm.weight")) {
      CHECK(values == std::vector<float>(values.size(), 1.0F));
    } else if (slice.hf_name.ends_with(".bias")) {
      CHECK(values == std::vector<float>(values.size(), 0.0F));
    } else {
      for (const float value : values) {
        sum += static_cast<double>(value);
        squares += static_cast<double>(value) * static_cast<double>(value);
        ++count;
      }
    }
  }
  CHECK_LE(std::abs(sum / count), 4 * 0.02 / std::sqrt(count));  // 4 standard errors
  CHECK_LE(std::abs(std::sqrt(squares / count) - 0.02), 4 * 0.02 / std::sqrt(2 * count));
}

TEST("model: a frozen copy keeps its weights while the model's change") {
  const auto model = random_model(tiny_config("qwen3"), 3);
  model->set_version(4);
  const auto copy = model->frozen_copy();
  const auto before = read_all(copy->weights());
  CHECK(before == read_all(model->weights()));
  const ParameterSlice& slice = model->weights().layout().slices.front();
  std::vector<float> values;
  model->weights().read(slice, values);
  values[0] += 1;
  model->weights().write(slice, values.data());
  model->weights_changed();
  CHECK(before == read_all(copy->weights()));
  CHECK(before != read_all(model->weights()));
  CHECK_EQ(model->version(), uint64_t{5});
  CHECK_EQ(copy->version(), uint64_t{4});
}

TEST("model: the head is the embedding where tied, a matrix of its own where not") {
  ModelConfig config = tiny_config("qwen3");
  const auto tied = random_model(config, 3);
  CHECK(tied->head().data == tied->weights().weight(0).data);
  ParameterArena gradients(tied->backend(), tied->weights().shared_layout());
  CHECK(tied->head_gradient(gradients).data == gradients.weight(0).data);
  config.tie_word_embeddings = false;
  const auto untied = random_model(config, 3);
  CHECK(untied->head().data != untied->weights().weight(0).data);
  CHECK_EQ(untied->head().rows, config.vocab_size);
}

TEST("parameters: aligned, disjoint, matrices before vectors, and every Hugging Face row at one place") {
  for (const std::string family : {"qwen2", "qwen3", "llama"}) {
    const auto model = random_model(tiny_config(family), 9);
    const ParameterLayout& layout = model->weights().layout();
    int64_t end = 0;
    for (const bool matrices : {true, false}) {
      for (const Parameter& parameter : layout.parameters) {
        if (parameter.matrix != matrices) continue;
        CHECK(parameter.offset >= end && parameter.offset % 64 == 0 && parameter.elements % 16 == 0);
        CHECK_EQ(parameter.decay, parameter.matrix);
        end = parameter.offset + parameter.elements;
      }
      if (matrices) CHECK(layout.matrix_elements >= end && layout.matrix_elements < end + 64);
    }
    CHECK(layout.elements >= end && layout.elements % 64 == 0);

    // Each tensor filled with its own number, then read back: no write touched another's rows.
    for (size_t s = 0; s < layout.slices.size(); ++s) {
      std::vector<float> values;
      model->weights().read(layout.slices[s], values);
      values.assign(values.size(), static_cast<float>(s + 1));
      model->weights().write(layout.slices[s], values.data());
    }
    const auto tensors = read_all(model->weights());
    double squares = 0;
    for (size_t s = 0; s < tensors.size(); ++s) {
      CHECK(tensors[s] == std::vector<float>(tensors[s].size(), static_cast<float>(s + 1)));
      squares += static_cast<double>(tensors[s].size()) * static_cast<double>((s + 1) * (s + 1));
    }
    // What the optimizer's norm sees: the padding is zero.
    CHECK_EQ(model->backend()->sum_squares(model->weights().data(), model->weights().elements()), squares);
  }
}

}  // namespace ajet::test
