#include "train/trainer_core.h"

#include "base/error.h"

namespace ajet {

namespace {

ParameterArena arena_beside(const Model& model, MatrixPlace place = MatrixPlace::device) {
  return ParameterArena(model.backend(), model.weights().shared_layout(), ArenaUse::values, place);
}

MatrixPlace moments_place(const Backend& backend, OptimizerOffload offload) {
  return offload != OptimizerOffload::none && backend.has_own_memory() ? MatrixPlace::host : MatrixPlace::device;
}

Tensor grow(Backend& backend, Buffer& buffer, DType dtype, int64_t rows, int64_t cols) {
  const auto bytes = static_cast<size_t>(rows * cols * dtype_bytes(dtype));
  if (buffer.bytes() < bytes) {
    buffer = Buffer();  // freed first, so that the two are never held at once
    buffer = backend.allocate(bytes);
  }
  return {buffer.data(), dtype, rows, cols, cols};
}

}  // namespace

ArenaBytes optimizer_state_bytes(const ParameterLayout& layout, const Backend& backend, OptimizerOffload offload) {
  const DType dtype = backend.compute_dtype();
  const ArenaBytes moment =
      ParameterArena::bytes(layout, dtype, ArenaUse::values, moments_place(backend, offload));
  ArenaBytes all{.device = 2 * moment.device, .host = 2 * moment.host};
  if (dtype == DType::f32) return all;  // the weights themselves
  const bool on_host = offload == OptimizerOffload::moments_and_master && backend.has_own_memory();
  const ArenaBytes master = ParameterArena::bytes(layout, dtype, ArenaUse::values,
                                                  on_host ? MatrixPlace::host : MatrixPlace::device);
  return {.device = all.device + master.device, .host = all.host + master.host};
}

TrainerCore::TrainerCore(std::shared_ptr<Model> model_, const TrainerConfig& config_)
    : model(std::move(model_)),
      reference(config_.reference ? model->frozen_copy() : nullptr),
      config(config_),
      gradients(arena_beside(*model)),
      first_moment(arena_beside(*model, moments_place(*model->backend(), config.offload))),
      second_moment(arena_beside(*model, first_moment.matrix_place())),
      head(model->backend(), model->config().hidden_size, model->config().vocab_size, config_.head_scratch_bytes) {}

void TrainerCore::start_part(std::span<const PartSegment> segments, bool with_gradient) {
  const PartSegment& last = segments.back();
  if (last.max_position > model->config().max_position_embeddings)
    fail(ErrorCode::invalid_argument, "[trainer] Expected timelines of at most " +
                                          std::to_string(model->config().max_position_embeddings) +
                                          " tokens (`max_position_embeddings`) but received " +
                                          std::to_string(last.max_position));
  if (!last.whole()) path_cache.start(*model->backend(), model->config(), last.part_rows, with_gradient);
}

Tensor TrainerCore::forward(Model& source, const PartSegment& segment, Activations* keep) {
  Backend& backend = *model->backend();
  const Tensor hidden = grow(backend, hidden_buffer, backend.compute_dtype(),
                             static_cast<int64_t>(segment.tokens.size()), model->config().hidden_size);
  source.forward_tree(hidden, segment.tokens, segment.layout(), keep, cache_of(segment));
  return hidden;
}

Tensor TrainerCore::zero_dhidden(const PartSegment& segment) {
  Backend& backend = *model->backend();
  const Tensor dhidden =
      grow(backend, dhidden_buffer, DType::f32, static_cast<int64_t>(segment.tokens.size()),
           model->config().hidden_size);
  backend.zero(dhidden.data, static_cast<size_t>(dhidden.rows * dhidden.cols) * sizeof(float));
  return dhidden;
}

void TrainerCore::for_each_chunk(Model& source, const TokenTree& tree, const PartSegment& segment, Tensor states,
                                 const std::function<void(const HeadChunk&)>& visit) {
  const HeadRows rows(tree, segment);
  for (int64_t row = 0; row < rows.rows();) {
    const HeadChunk chunk = head.forward(rows, row, states, source.head());
    visit(chunk);
    row += chunk.rows;
  }
}

}  // namespace ajet
