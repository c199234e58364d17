#include "model/model.h"

#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "model/activations.h"
#include "model/phase_memory.h"
#include "model/shared_weights.h"

namespace ajet {
namespace {

constexpr double initializer_range = 0.02;  // `initializer_range` of the published configurations

// FNV-1a, 64 bits.
uint64_t hash_name(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

bool ends_with_bias(const std::string& name) { return name.ends_with(".bias"); }

LayerParameters find_layer(const ParameterLayout& layout, int64_t index) {
  const std::string prefix = "layers." + std::to_string(index) + ".";
  const auto find = [&](const char* name) { return layout.find(prefix + name); };
  return {.input_norm = find("input_norm"),
          .qkv = find("qkv"),
          .qkv_bias = find("qkv_bias"),
          .q_norm = find("q_norm"),
          .k_norm = find("k_norm"),
          .output = find("output"),
          .output_bias = find("output_bias"),
          .post_norm = find("post_norm"),
          .gate_up = find("gate_up"),
          .gate_up_bias = find("gate_up_bias"),
          .down = find("down"),
          .down_bias = find("down_bias")};
}

}  // namespace

Model::Model(std::shared_ptr<Backend> backend, const ModelConfig& config)
    : config_(config),
      backend_(std::move(backend)),
      weights_(backend_, std::make_shared<const ParameterLayout>(ParameterLayout::build(config, *backend_)),
               ArenaUse::weights),
      inverse_frequencies_(rope_inverse_frequencies(config)),
      workspace_(std::make_unique<Activations>()),
      phase_memory_(std::make_unique<PhaseMemory>(backend_)) {
  find_parameters();
}

Model::Model(std::shared_ptr<Backend> backend, std::shared_ptr<AttachedWeights> weights)
    : config_(weights->config()),
      backend_(std::move(backend)),
      attached_(std::move(weights)),
      weights_(AttachedWeights::arena(attached_, backend_)),
      version_(attached_->reader().version()),
      inverse_frequencies_(rope_inverse_frequencies(config_)),
      workspace_(std::make_unique<Activations>()),
      phase_memory_(std::make_unique<PhaseMemory>(backend_)) {
  find_parameters();
}

Model::~Model() = default;

void Model::find_parameters() {
  const ParameterLayout& layout = weights_.layout();
  embedding_ = layout.find("embedding");
  final_norm_ = layout.find("final_norm");
  head_ = config_.tie_word_embeddings ? embedding_ : layout.find("head");
  for (int64_t l = 0; l < config_.layers; ++l) layers_.push_back(find_layer(layout, l));
}

std::shared_ptr<Model> Model::random(std::shared_ptr<Backend> backend, const ModelConfig& config, uint64_t seed) {
  auto model = std::make_shared<Model>(std::move(backend), config);
  const ParameterLayout& layout = model->weights_.layout();
  ThreadPool pool(0);
  std::vector<float> values;
  for (const ParameterSlice& slice : layout.slices) {
    const Parameter& parameter = layout.parameters[static_cast<size_t>(slice.parameter)];
    if (!parameter.matrix) {
      values.assign(static_cast<size_t>(slice.rows), ends_with_bias(slice.hf_name) ? 0.0F : 1.0F);
    } else {
      values.resize(static_cast<size_t>(slice.rows * parameter.cols));
      const uint64_t stream = hash_name(slice.hf_name);
      pool.parallel_for(slice.rows, [&](int64_t row) {
        for (int64_t i = row * parameter.cols; i < (row + 1) * parameter.cols; ++i) {
          const double sample = normal_double(seed, static_cast<uint64_t>(i), stream);
          values[static_cast<size_t>(i)] = static_cast<float>(initializer_range * sample);
        }
      });
    }
    model->weights_.write(slice, values.data());
  }
  return model;
}

std::shared_ptr<Model> Model::frozen_copy() const {
  auto copy = std::make_shared<Model>(backend_, config_);
  if (weights_.matrix_place() == MatrixPlace::host) copy->weights_.move_matrices_to_host();
  copy->weights_.copy_from(weights_);
  copy->version_ = version_;
  return copy;
}

void Model::offload_master_weights() {
  if (weights_.matrix_place() == MatrixPlace::host) return;
  if (shared_ || attached_)
    fail(ErrorCode::invalid_argument,
         "[offload] Expected weights that no other process reads yet: create the trainer, then share");
  weights_.move_matrices_to_host();
}

void Model::set_version(uint64_t version) {
  version_ = version;
  if (!shared_) return;
  shared_->writer().begin_write();
  shared_->writer().end_write(version);
}

const std::string& Model::share() {
  if (attached_) fail(ErrorCode::invalid_argument, "[share] The weights are those of another process");
  if (!shared_) shared_ = std::make_unique<SharedWeights>(*backend_, config_, weights_, version_);
  return shared_->path();
}

size_t Model::weight_bytes() const {
  return static_cast<size_t>(weights_.elements() * dtype_bytes(backend_->compute_dtype()));
}

Weight Model::head() const { return weights_.weight(head_); }

Weight Model::head_gradient(ParameterArena& gradients) const { return gradients.weight(head_); }

Tensor Model::vector_or_none(const ParameterArena& arena, int parameter) const {
  return parameter < 0 ? Tensor{} : arena.vector(parameter);
}

AttentionShape Model::attention_shape() const {
  return {config_.heads, config_.kv_heads, config_.head_dim, 1.0F / std::sqrt(static_cast<float>(config_.head_dim))};
}

}  // namespace ajet
