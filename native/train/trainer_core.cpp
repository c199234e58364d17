#include "train/trainer_core.h"

#include <algorithm>

#include "base/error.h"
#include "model/activations.h"
#include "model/phase_memory.h"

namespace ajet {

namespace {

ParameterArena arena_beside(const Model& model, MatrixPlace place = MatrixPlace::device) {
  return ParameterArena(model.backend(), model.weights().shared_layout(), ArenaUse::values, place);
}

}  // namespace

OptimizerPlaces optimizer_places(const StorageFormat& format, OptimizerOffload offload) {
  OptimizerPlaces places;
  if (!format.has_own_memory()) return places;
  if (offload != OptimizerOffload::none) places.moments = MatrixPlace::host;
  if (offload == OptimizerOffload::moments_and_master) places.master = MatrixPlace::host;
  return places;
}

TrainerCore::TrainerCore(std::shared_ptr<Model> model_, const TrainerConfig& config_)
    : model(std::move(model_)),
      reference(config_.reference ? model->frozen_copy() : nullptr),
      config(config_),
      first_moment(arena_beside(*model, optimizer_places(*model->backend(), config.offload).moments)),
      second_moment(arena_beside(*model, first_moment.matrix_place())),
      gradients(model->backend(), model->weights().shared_layout(), Buffer{}, Buffer{}, Buffer{}, MatrixPlace::device),
      head(model->backend(), model->config().hidden_size, model->config().vocab_size) {}

TrainerCore::~TrainerCore() { model->phase_memory().leave(this); }

PassBytes TrainerCore::bytes_of(const PassShape& shape) const {
  return pass_bytes(model->config(), model->backend()->compute_dtype(), model->weights().elements(), shape);
}

int64_t TrainerCore::chunk_rows() const {
  return HeadPass::chunk_rows(model->config().vocab_size, config.head_scratch_bytes, config.max_batch_tokens);
}

// An eighth of what is left stays free, for what ops allocate while they run.
Keep TrainerCore::choose_keep(PassShape shape) const {
  if (config.recompute == Recompute::layers) return Keep::layer_inputs;
  shape.keep = Keep::everything;
  if (config.recompute == Recompute::none) return shape.keep;
  const size_t needed = bytes_of(shape).total(), held = model->phase_memory().bytes();
  const size_t left = model->backend()->available_bytes();
  return needed <= held || needed - held <= left - left / 8 ? Keep::everything : Keep::layer_inputs;
}

void TrainerCore::begin_pass(std::span<const TreePart> parts, bool backward) {
  PassShape shape = pass_shape(parts, config.max_batch_tokens, chunk_rows());
  shape.keep = keep_ = backward ? choose_keep(shape) : Keep::nothing;
  const PassBytes bytes = bytes_of(shape);
  memory = PassMemory(model->phase_memory().take(this, bytes.total()), bytes);
  activations.data->place(std::move(memory.activations));
  path_cache.place(std::move(memory.path_cache));
  gradients = ParameterArena(model->backend(), model->weights().shared_layout(), std::move(memory.gradients), Buffer{},
                             Buffer{}, MatrixPlace::device);
  if (backward) gradients.zero();
}

bool TrainerCore::holds_gradients() const { return gradients.data() != nullptr && model->phase_memory().held_by(this); }

void TrainerCore::start_part(std::span<const PartSegment> segments, bool with_gradient) {
  const PartSegment& last = segments.back();
  if (last.max_position > model->config().max_position_embeddings)
    fail(ErrorCode::invalid_argument,
         "[trainer] Expected timelines of at most " + std::to_string(model->config().max_position_embeddings) +
             " tokens (`max_position_embeddings`) but received " + std::to_string(last.max_position));
  if (!last.whole()) path_cache.start(*model->backend(), model->config(), last.part_rows, with_gradient);
}

Tensor TrainerCore::forward(Model& source, const PartSegment& segment, bool for_backward) {
  const Backend& backend = *model->backend();
  const ModelConfig& shape = model->config();
  const auto tokens = static_cast<int64_t>(segment.tokens.size());
  const Tensor hidden{memory.hidden.data(), backend.compute_dtype(), tokens, shape.hidden_size, shape.hidden_size};
  const int64_t head_rows = std::min(chunk_rows(), static_cast<int64_t>(segment.entry_index.size()));
  ActivationLayout& layout = activations.layout;
  layout.lent_bytes = HeadPass::bytes(shape.hidden_size, shape.vocab_size, backend.compute_dtype(), head_rows);
  layout.keep = for_backward ? keep_ : Keep::nothing;
  source.forward_tree(hidden, segment.tokens, segment.layout(), &activations, cache_of(segment));
  head.place(Buffer::within(nullptr, activations.data->lent(), layout.lent_bytes), head_rows);
  return hidden;
}

Tensor TrainerCore::zero_dhidden(const PartSegment& segment) {
  const int64_t width = model->config().hidden_size;
  const Tensor dhidden{memory.dhidden.data(), DType::f32, static_cast<int64_t>(segment.tokens.size()), width, width};
  model->backend()->zero(dhidden.data, static_cast<size_t>(dhidden.rows * dhidden.cols) * sizeof(float));
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
