#include "train/trainer_core.h"

#include "base/error.h"

namespace ajet {

namespace {

ParameterArena arena_beside(const Model& model) {
  return ParameterArena(model.backend(), model.weights().shared_layout());
}

Tensor grow(Backend& backend, Buffer& buffer, int64_t rows, int64_t cols) {
  const size_t bytes = static_cast<size_t>(rows * cols) * sizeof(float);
  if (buffer.bytes() < bytes) {
    buffer = Buffer();  // freed first, so that the two are never held at once
    buffer = backend.allocate(bytes);
  }
  return {buffer.data(), DType::f32, rows, cols, cols};
}

}  // namespace

TrainerCore::TrainerCore(std::shared_ptr<Model> model_, const TrainerConfig& config_)
    : model(std::move(model_)),
      reference(config_.reference ? model->frozen_copy() : nullptr),
      config(config_),
      gradients(arena_beside(*model)),
      first_moment(arena_beside(*model)),
      second_moment(arena_beside(*model)),
      head(model->backend(), model->config().hidden_size, model->config().vocab_size, config_.head_scratch_bytes) {}

Tensor TrainerCore::forward(Model& source, const TreePart& part, Activations* keep) {
  const ModelConfig& shape = model->config();
  if (part.max_position > shape.max_position_embeddings)
    fail(ErrorCode::invalid_argument,
         "[trainer] Expected timelines of at most " + std::to_string(shape.max_position_embeddings) +
             " tokens (`max_position_embeddings`) but received " + std::to_string(part.max_position));
  const Tensor hidden =
      grow(*model->backend(), hidden_buffer, static_cast<int64_t>(part.tokens.size()), shape.hidden_size);
  source.forward_tree(hidden, part.tokens, part.layout(), keep);
  return hidden;
}

Tensor TrainerCore::zero_dhidden(const TreePart& part) {
  Backend& backend = *model->backend();
  const Tensor dhidden =
      grow(backend, dhidden_buffer, static_cast<int64_t>(part.tokens.size()), model->config().hidden_size);
  backend.zero(dhidden.data, static_cast<size_t>(dhidden.rows * dhidden.cols) * sizeof(float));
  return dhidden;
}

void TrainerCore::for_each_chunk(Model& source, const TokenTree& tree, const TreePart& part, Tensor states,
                                 const std::function<void(const HeadChunk&)>& visit) {
  const HeadRows rows(tree, part);
  for (int64_t row = 0; row < rows.rows();) {
    const HeadChunk chunk = head.forward(rows, row, states, source.head());
    visit(chunk);
    row += chunk.rows;
  }
}

}  // namespace ajet
