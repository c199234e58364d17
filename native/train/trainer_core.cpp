#include "train/trainer_core.h"

#include <algorithm>

#include "base/error.h"
#include "model/activations.h"

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

ArenaBytes optimizer_state_bytes(const ParameterLayout& layout, DType compute_dtype, OptimizerOffload offload) {
  const auto bytes = [&](bool on_host) {
    return ParameterArena::bytes(layout, compute_dtype, ArenaUse::values,
                                 on_host ? MatrixPlace::host : MatrixPlace::device);
  };
  const ArenaBytes moment = bytes(offload != OptimizerOffload::none);
  const ArenaBytes all{.device = 2 * moment.device, .host = 2 * moment.host};
  if (compute_dtype == DType::f32) return all;
  const ArenaBytes master = bytes(offload == OptimizerOffload::moments_and_master);
  return {.device = all.device + master.device, .host = all.host + master.host};
}

TrainerCore::TrainerCore(std::shared_ptr<Model> model_, const TrainerConfig& config_)
    : model(std::move(model_)),
      reference(config_.reference ? model->frozen_copy() : nullptr),
      config(config_),
      gradients(arena_beside(*model)),
      first_moment(arena_beside(*model, moments_place(*model->backend(), config.offload))),
      second_moment(arena_beside(*model, first_moment.matrix_place())),
      head(model->backend(), model->config().hidden_size, model->config().vocab_size) {}

void TrainerCore::start_part(std::span<const PartSegment> segments, bool with_gradient) {
  const PartSegment& last = segments.back();
  if (last.max_position > model->config().max_position_embeddings)
    fail(ErrorCode::invalid_argument, "[trainer] Expected timelines of at most " +
                                          std::to_string(model->config().max_position_embeddings) +
                                          " tokens (`max_position_embeddings`) but received " +
                                          std::to_string(last.max_position));
  if (!last.whole()) path_cache.start(*model->backend(), model->config(), last.part_rows, with_gradient);
}

// An eighth of what is left stays free, for what ops allocate while they run.
Keep TrainerCore::choose_keep(int64_t tokens, size_t lent_bytes) const {
  if (config.recompute == Recompute::layers) return Keep::layer_inputs;
  if (config.recompute == Recompute::none) return Keep::everything;
  const Backend& backend = *model->backend();
  const size_t held = activations.data->allocated_bytes(), left = backend.available_bytes();
  const size_t needed = Activations::Data::bytes(model->config(), backend.compute_dtype(), tokens,
                                                 {.keep = Keep::everything, .lent_bytes = lent_bytes});
  return needed <= held || needed - held <= left - left / 8 ? Keep::everything : Keep::layer_inputs;
}

Tensor TrainerCore::forward(Model& source, const PartSegment& segment, bool for_backward) {
  Backend& backend = *model->backend();
  const ModelConfig& shape = model->config();
  const auto tokens = static_cast<int64_t>(segment.tokens.size());
  const Tensor hidden = grow(backend, hidden_buffer, backend.compute_dtype(), tokens, shape.hidden_size);
  const int64_t head_rows = std::min(HeadPass::chunk_rows(shape.vocab_size, config.head_scratch_bytes),
                                     static_cast<int64_t>(segment.entry_index.size()));
  ActivationLayout& layout = activations.layout;
  layout.lent_bytes = HeadPass::bytes(shape.hidden_size, shape.vocab_size, backend.compute_dtype(), head_rows);
  layout.keep = for_backward ? choose_keep(tokens, layout.lent_bytes) : Keep::nothing;
  source.forward_tree(hidden, segment.tokens, segment.layout(), &activations, cache_of(segment));
  head.place(Buffer::within(nullptr, activations.data->lent(), layout.lent_bytes), head_rows);
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
