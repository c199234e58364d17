// Weights in device memory that another process reads in place: what CUDA IPC is asked for, in the emulator, where both
// processes are one.
#include "backend/cuda/cuda_backend.h"
#include "check.h"
#include "model/model.h"
#include "model/shared_weights.h"
#include "model/weights_access.h"

namespace ajet::test {
namespace {

ModelConfig small_config() {
  ModelConfig config;
  config.model_type = "qwen3";
  config.vocab_size = 37;
  config.hidden_size = 24;
  config.intermediate_size = 20;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 8;
  config.max_position_embeddings = 256;
  config.tie_word_embeddings = true;
  config.qk_norm = true;
  return config;
}

// Every weight, and, where there is one, the copy that products read.
std::vector<std::vector<float>> all_weights(Model& model) {
  std::vector<std::vector<float>> all;
  const ParameterArena& weights = model.weights();
  for (const ParameterSlice& slice : weights.layout().slices) {
    weights.read(slice, all.emplace_back());
    const Parameter& parameter = weights.layout().parameters[static_cast<size_t>(slice.parameter)];
    if (!parameter.matrix) continue;
    std::vector<float>& copy = all.emplace_back(static_cast<size_t>(slice.rows * parameter.cols));
    model.backend()->read_weight_rows(copy.data(), weights.weight(slice.parameter), slice.first_row, slice.rows);
  }
  return all;
}

std::shared_ptr<Backend> backend(DType dtype) { return cuda::make_cuda_backend({.compute_dtype = dtype}); }

TEST("device memory sharing: the weights are the same bytes, whatever lies before them in their segment") {
  for (const DType dtype : {DType::bf16, DType::f32}) {
    const auto card = backend(dtype);
    const Buffer before = card->allocate(1000);
    const auto model = Model::random(card, small_config(), 3);
    float* const place = model->weights().data();
    const auto other = std::make_shared<Model>(backend(dtype), AttachedWeights::open(model->share()));
    CHECK(model->weights().data() == place);
    CHECK(other->weights().data() == place);
    CHECK(other->weights().compute_data() == model->weights().compute_data());
    CHECK(all_weights(*other) == all_weights(*model));
    CHECK_EQ(other->attached()->device(), card->shared_device());
  }
}

TEST("device memory sharing: an update is seen, and weights of a run that has ended are not touched") {
  auto model = Model::random(backend(DType::bf16), small_config(), 3);
  const auto other = std::make_shared<Model>(backend(DType::bf16), AttachedWeights::open(model->share()));
  {
    WeightsUpdate update("test", *model);
    const ParameterSlice& slice = model->weights().layout().slices.front();
    const std::vector<float> ones(static_cast<size_t>(slice.rows * small_config().hidden_size), 1.0F);
    model->weights().write(slice, ones.data());
    model->weights_changed();
    update.finish();
  }
  {
    WeightsPass pass(*other);
    CHECK_EQ(other->version(), 1U);
    CHECK(all_weights(*other) == all_weights(*model));
    CHECK(pass.finish());
  }
  model.reset();
  CHECK_ERROR(WeightsPass{*other}, "its weights on the card with it");
}

TEST("device memory sharing: what is no allocation, and a handle of none, are errors with the call's name") {
  const auto card = backend(DType::f32);
  float host = 0;
  CHECK_ERROR(card->export_memory(&host), "Expected an allocation of this arena");
  CHECK_ERROR(card->import_memory({}, 256), "cudaIpcOpenMemHandle");
}

TEST("device memory sharing: a segment of bf16 weights is refused by a backend in fp32") {
  const auto model = Model::random(backend(DType::bf16), small_config(), 3);
  CHECK_ERROR(Model(backend(DType::f32), AttachedWeights::open(model->share())), "laid out otherwise than cuda:0");
}

}  // namespace
}  // namespace ajet::test
