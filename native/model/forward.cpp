// The forward pass, once for training and inference: the same ops in the same order on every row, which makes
// the log-probs of sampler and trainer equal to the bit.
#include "base/error.h"
#include "model/activations.h"
#include "model/model.h"
#include "model/paged_part.h"
#include "model/path_cache.h"

namespace ajet {
namespace {

void check_batch(const char* op, Tensor hidden, std::span<const int32_t> tokens, size_t positions, int64_t width) {
  const auto m = static_cast<int64_t>(tokens.size());
  const std::string prefix = std::string("[") + op + "] Expected ";
  if (m == 0) fail(ErrorCode::invalid_argument, prefix + "at least one token but received none");
  if (positions != tokens.size()) {
    fail(ErrorCode::invalid_argument,
         prefix + std::to_string(m) + " `positions` but received " + std::to_string(positions));
  }
  if (hidden.rows != m || hidden.cols != width) {
    fail(ErrorCode::invalid_argument, prefix + "`hidden` [" + std::to_string(m) + ", " + std::to_string(width) +
                                          "] but received [" + std::to_string(hidden.rows) + ", " +
                                          std::to_string(hidden.cols) + "]");
  }
}

}  // namespace

template <typename Attend>
void Model::forward(Tensor hidden, std::span<const int32_t> tokens, std::span<const TokenLogprob> drawn,
                    std::span<const int32_t> positions, const ForwardTensors& activations, const Attend& attend) {
  Backend& device = *backend_;
  device.embedding(activations.layers.front().input, tokens, weights_.weight(embedding_), drawn);
  for (int64_t l = 0; l < config_.layers; ++l) {
    forward_attention(activations, l, positions, attend);
    forward_mlp(activations, l);
  }
  device.rmsnorm(hidden, activations.layers.back().output, weights_.vector(final_norm_), hidden.cols,
                 config_.rms_norm_eps);
}

template <typename Attend>
void Model::forward_attention(const ForwardTensors& activations, int64_t index, std::span<const int32_t> positions,
                              const Attend& attend) {
  Backend& device = *backend_;
  const LayerParameters& p = layers_[static_cast<size_t>(index)];
  const LayerActivations& a = activations.layers[static_cast<size_t>(index)];
  const Tensor normed = activations.normed;
  const float eps = config_.rms_norm_eps;

  device.rmsnorm(normed, a.input, weights_.vector(p.input_norm), normed.cols, eps);
  device.linear(a.projected, normed, weights_.weight(p.qkv), vector_or_none(weights_, p.qkv_bias));
  if (config_.qk_norm) {
    device.rmsnorm_rope(a.q, a.projected.slice_cols(0, a.q.cols), weights_.vector(p.q_norm), eps, positions,
                        inverse_frequencies_);
    device.rmsnorm_rope(a.k, a.projected.slice_cols(a.q.cols, a.k.cols), weights_.vector(p.k_norm), eps, positions,
                        inverse_frequencies_);
  } else {
    device.rope(a.queries_and_keys(), positions, inverse_frequencies_, config_.head_dim, false);
  }
  attend(index, a.attended, a.lse, a.q, a.k, a.v);
  device.linear(a.middle, a.attended, weights_.weight(p.output), vector_or_none(weights_, p.output_bias), a.input);
}

void Model::forward_mlp(const ForwardTensors& activations, int64_t index) {
  const LayerParameters& p = layers_[static_cast<size_t>(index)];
  activations.for_each_mlp_chunk(index, [&](const MlpChunk& c) {
    forward_gate_up(p, c);
    backend_->swiglu(c.swiglu, c.gate, c.up);
    backend_->linear(c.output, c.swiglu, weights_.weight(p.down), vector_or_none(weights_, p.down_bias), c.middle);
  });
}

void Model::forward_gate_up(const LayerParameters& p, const MlpChunk& c) {
  backend_->rmsnorm(c.normed, c.middle, weights_.vector(p.post_norm), c.normed.cols, config_.rms_norm_eps);
  backend_->linear(c.gate_up, c.normed, weights_.weight(p.gate_up), vector_or_none(weights_, p.gate_up_bias));
}

void Model::recompute_attention(const ForwardTensors& activations, int64_t index, const TreeLayout& tree,
                                PathCache* cache) {
  const auto attend = [&](int64_t layer, Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v) {
    if (cache != nullptr) {
      const auto rows = static_cast<int64_t>(tree.positions.size());
      k = cache->keys(layer, rows);
      v = cache->values(layer, rows);
    }
    backend_->attention_tree(o, lse, q, k, v, tree, attention_shape());
  };
  forward_attention(activations, index, tree.positions.subspan(static_cast<size_t>(tree.context_tokens)), attend);
}

void Model::forward_tree(Tensor hidden, std::span<const int32_t> tokens, const TreeLayout& tree,
                         Activations* activations, PathCache* cache) {
  const int64_t context = tree.context_tokens, rows = static_cast<int64_t>(tree.positions.size());
  if (context < 0 || context > rows) {
    fail(ErrorCode::invalid_argument, "[forward_tree] Expected `tree.context_tokens` in [0, " + std::to_string(rows) +
                                          "] but received " + std::to_string(context));
  }
  if (context > 0 && cache == nullptr) {
    fail(ErrorCode::invalid_argument,
         "[forward_tree] Expected a `cache` of " + std::to_string(context) + " context tokens but received none");
  }
  const auto positions = tree.positions.subspan(static_cast<size_t>(context));
  check_batch("forward_tree", hidden, tokens, positions.size(), config_.hidden_size);
  if (cache != nullptr) cache->begin_forward(context, rows);
  const auto attend = [&](int64_t layer, Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v) {
    if (cache != nullptr) {
      cache->store(*backend_, layer, context, k, v);
      k = cache->keys(layer, rows);
      v = cache->values(layer, rows);
    }
    backend_->attention_tree(o, lse, q, k, v, tree, attention_shape());
  };
  const ActivationLayout layout = activations != nullptr ? activations->layout : ActivationLayout{Keep::nothing};
  Activations::Data& target = *(activations != nullptr ? *activations : *workspace_).data;
  target.prepare(*backend_, config_, static_cast<int64_t>(tokens.size()), layout);
  forward(hidden, tokens, {}, positions, target, attend);
  target.filled = layout.keep != Keep::nothing;
}

void Model::forward_paged(Tensor hidden, std::span<const int32_t> tokens, const PagedLayout& layout,
                          const KvCache& cache, std::span<const TokenLogprob> drawn) {
  check_batch("forward_paged", hidden, tokens, layout.positions.size(), config_.hidden_size);
  Activations::Data& workspace = *workspace_->data;
  workspace.prepare(*backend_, config_, hidden.rows, {.keep = Keep::nothing, .mlp_rows = hidden.rows});
  const std::vector<PagedPart> parts = split_sequences(layout, backend_->row_groups(hidden.rows, weight_bytes()));
  backend_->run_row_groups(static_cast<int64_t>(parts.size()), [&](int64_t group) {
    const PagedPart& part = parts[static_cast<size_t>(group)];
    const PagedLayout part_layout = part.layout();
    const auto attend = [&](int64_t layer, Tensor o, Tensor, Tensor q, Tensor k, Tensor v) {
      backend_->kv_write(cache, layer, k, v, part_layout);
      backend_->attention_paged(o, q, cache, layer, part_layout, attention_shape());
    };
    const auto part_tokens = tokens.subspan(static_cast<size_t>(part.first_row), static_cast<size_t>(part.rows));
    forward(hidden.slice_rows(part.first_row, part.rows), part_tokens, drawn, part_layout.positions,
            workspace.slice_rows(part.first_row, part.rows), attend);
  });
}

}  // namespace ajet
