// Logits and the gradient of every weight against `transformers`, from the committed fixtures
// (test/fixtures/parity/make_fixtures.py).
#include <algorithm>

#include "check.h"
#include "model/safetensors.h"
#include "model_fixtures.h"

namespace ajet::test {
namespace {

constexpr double max_logit_error = 1e-4;
constexpr double max_gradient_error = 1e-5;  // norm-wise, per tensor

std::string fixture(const std::string& name) { return std::string(AJET_FIXTURES) + "/parity/" + name; }

std::vector<float> values(const SafetensorsFile& file, const std::string& name) {
  const SafetensorsTensor& tensor = file.tensor(name);
  std::vector<float> out(static_cast<size_t>(tensor.elements));
  file.read(tensor, 0, tensor.elements, out.data());
  return out;
}

struct Batch {
  TokenTree tree;
  std::vector<float> logits;
  std::vector<int32_t> rows, targets;  // each row predicts the next token of its sequence
  std::vector<float> dlogprob;         // d loss / d log-prob = -weight
};

Batch expected_batch(const SafetensorsFile& expected) {
  Batch batch;
  for (int sequence = 0; sequence < 2; ++sequence) {
    const std::string suffix(sequence == 0 ? ".0" : ".1");
    const std::vector<float> tokens = values(expected, "tokens" + suffix);
    const std::vector<float> weights = values(expected, "loss_weights" + suffix);
    const std::vector<float> logits = values(expected, "logits" + suffix);
    const auto first_row = static_cast<int32_t>(batch.tree.tokens.size());
    batch.tree.append_node(-1, std::vector<int32_t>(tokens.begin(), tokens.end()));
    batch.logits.insert(batch.logits.end(), logits.begin(), logits.end());
    for (size_t t = 0; t + 1 < tokens.size(); ++t) {
      batch.rows.push_back(first_row + static_cast<int32_t>(t));
      batch.targets.push_back(static_cast<int32_t>(tokens[t + 1]));
      batch.dlogprob.push_back(-weights[t]);
    }
  }
  return batch;
}

void check_parity(const std::string& name, const std::string& isa) {
  const auto model = Model::load(make_cpu_backend(2, isa), fixture(name));
  Backend& backend = *model->backend();
  const SafetensorsFile expected = SafetensorsFile::open(fixture(name) + "/expected.safetensors");
  const Batch batch = expected_batch(expected);
  const auto m = static_cast<int64_t>(batch.tree.tokens.size());

  const Matrix hidden(backend, m, model->config().hidden_size), logits(backend, m, model->config().vocab_size);
  Activations activations;
  model->forward_tree(hidden.tensor, batch.tree.tokens, batch.tree.layout(), &activations);
  backend.linear(logits.tensor, hidden.tensor, model->head());
  const std::vector<float> actual = download(backend, logits.tensor);
  CHECK_EQ(actual.size(), batch.logits.size());
  double logit_error = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    logit_error =
        std::max(logit_error, std::abs(static_cast<double>(actual[i]) - static_cast<double>(batch.logits[i])));
  }
  CHECK_LE(logit_error, max_logit_error);

  const std::vector<float> inverse_temperature(static_cast<size_t>(m), 1.0F);
  std::vector<float> lse(static_cast<size_t>(m)), entropy(static_cast<size_t>(m));
  backend.log_sum_exp(lse, entropy, logits.tensor, inverse_temperature);
  backend.logits_backward(logits.tensor, inverse_temperature, lse, entropy, {}, batch.rows, batch.targets,
                          batch.dlogprob);
  ParameterArena gradients(model->backend(), model->weights().shared_layout());
  backend.linear_dw(model->head_gradient(gradients), {}, logits.tensor, hidden.tensor);
  backend.linear_dx(hidden.tensor, logits.tensor, model->head(), false);
  model->backward_tree(gradients, hidden.tensor, batch.tree.tokens, batch.tree.layout(), activations);
  backend.synchronize();

  std::vector<float> gradient;
  for (const ParameterSlice& slice : gradients.layout().slices) {
    gradients.read(slice, gradient);
    const double error = relative_error(gradient, values(expected, "gradient." + slice.hf_name));
    if (!(error <= max_gradient_error)) fail_at(__FILE__, __LINE__, name, ": ", slice.hf_name, " is off by ", error);
  }
}

void check_parity(const std::string& name) {
  check_parity(name, "");  // the best this machine has
  check_parity(name, "portable");
}

}  // namespace

TEST("parity: qwen2, tied head, grouped heads, float32") { check_parity("qwen2-tied"); }
TEST("parity: qwen2, own head, bfloat16") { check_parity("qwen2-untied"); }
TEST("parity: qwen3, tied head, shards") { check_parity("qwen3-tied"); }
TEST("parity: qwen3, own head, attention bias") { check_parity("qwen3-untied"); }
TEST("parity: llama, tied head, llama3 rope, bfloat16") { check_parity("llama-tied"); }
TEST("parity: llama, own head, attention and mlp bias, shards") { check_parity("llama-untied"); }

}  // namespace ajet::test
