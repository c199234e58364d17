// The backward pass over a token tree. Normed inputs and the SwiGLU output are computed again rather than kept: the ops
// that read what they are made of give them back in the place of their gradients. With Keep::layer_inputs the rest of a
// layer is computed again too, right before its backward.
#include "base/error.h"
#include "model/activations.h"
#include "model/model.h"
#include "model/path_cache.h"

namespace ajet {

// dstream is the gradient at the layer's output and becomes that at `middle`.
void Model::backward_mlp(ParameterArena& gradients, Tensor dstream, const LayerParameters& p,
                         Activations::Data& activations, int64_t index) {
  Backend& device = *backend_;
  activations.for_each_mlp_chunk(index, [&](const MlpChunk& c) {
    // `middle`'s gradient reaches it last: until then it is the output's, which the down projection takes.
    const Tensor dchunk = dstream.slice_rows(c.first_row, c.rows);
    if (activations.recomputes()) forward_gate_up(p, c);
    device.linear_dx(c.swiglu, dchunk, weights_.weight(p.down), false);
    device.swiglu_backward(c.gate, c.up, c.swiglu, c.swiglu, c.gate, c.up);
    device.linear_dw(gradients.weight(p.down), vector_or_none(gradients, p.down_bias), dchunk, c.swiglu);

    device.linear_dx(c.normed, c.gate_up, weights_.weight(p.gate_up), false);
    device.rmsnorm_backward(dchunk, gradients.vector(p.post_norm), c.normed, c.normed, c.middle,
                            weights_.vector(p.post_norm), config_.hidden_size, config_.rms_norm_eps, true);
    device.linear_dw(gradients.weight(p.gate_up), vector_or_none(gradients, p.gate_up_bias), c.gate_up, c.normed);
  });
}

// dstream is the gradient at `middle` and becomes that at the layer's input.
void Model::backward_attention(ParameterArena& gradients, Tensor dstream, const TreeLayout& tree,
                               const LayerParameters& p, Activations::Data& activations, int64_t index,
                               PathCache* cache) {
  Backend& device = *backend_;
  const LayerActivations& a = activations.layers[static_cast<size_t>(index)];
  const float eps = config_.rms_norm_eps;
  const int64_t head_dim = config_.head_dim;
  const Tensor dqkv = activations.dprojected;
  const Tensor dq = dqkv.slice_cols(0, a.q.cols);
  const Tensor dk = dqkv.slice_cols(a.q.cols, a.k.cols);
  const Tensor dv = dqkv.slice_cols(a.q.cols + a.k.cols, a.v.cols);
  const Tensor normed = activations.normed_input;

  device.linear_dw(gradients.weight(p.output), vector_or_none(gradients, p.output_bias), dstream, a.attended);
  device.linear_dx(activations.dattended, dstream, weights_.weight(p.output), false);
  if (cache == nullptr) {
    device.attention_tree_backward(dq, dk, dv, activations.dattended, a.attended, a.lse, a.q, a.k, a.v, tree,
                                   attention_shape(), false);
  } else {
    const auto rows = static_cast<int64_t>(tree.positions.size());
    device.attention_tree_backward(dq, cache->key_gradients(index, rows), cache->value_gradients(index, rows),
                                   activations.dattended, a.attended, a.lse, a.q, cache->keys(index, rows),
                                   cache->values(index, rows), tree, attention_shape(), true);
    cache->load_gradients(device, index, tree.context_tokens, dk, dv);
  }
  const auto positions = tree.positions.subspan(static_cast<size_t>(tree.context_tokens));
  device.rope(dqkv.slice_cols(0, a.q.cols + a.k.cols), positions, inverse_frequencies_, head_dim, true);
  if (config_.qk_norm) {
    device.rmsnorm_backward(dq, gradients.vector(p.q_norm), {}, dq, a.projected.slice_cols(0, a.q.cols),
                            weights_.vector(p.q_norm), head_dim, eps, false);
    device.rmsnorm_backward(dk, gradients.vector(p.k_norm), {}, dk, a.projected.slice_cols(a.q.cols, a.k.cols),
                            weights_.vector(p.k_norm), head_dim, eps, false);
  }
  device.linear_dx(normed, dqkv, weights_.weight(p.qkv), false);
  device.rmsnorm_backward(dstream, gradients.vector(p.input_norm), normed, normed, a.input,
                          weights_.vector(p.input_norm), config_.hidden_size, eps, true);
  device.linear_dw(gradients.weight(p.qkv), vector_or_none(gradients, p.qkv_bias), dqkv, normed);
}

void Model::backward_tree(ParameterArena& gradients, Tensor dhidden, std::span<const int32_t> tokens,
                          const TreeLayout& tree, Activations& activations, PathCache* cache) {
  Activations::Data& kept = *activations.data;
  const auto rows = static_cast<int64_t>(tree.positions.size()), new_rows = static_cast<int64_t>(tokens.size());
  if (!kept.filled || kept.tokens != new_rows || rows - tree.context_tokens != new_rows) {
    fail(ErrorCode::invalid_argument, "[backward_tree] Expected `activations` of a forward_tree over the same " +
                                          std::to_string(new_rows) + " tokens, each used by one backward");
  }
  if (cache != nullptr) cache->begin_backward(tree.context_tokens, rows);
  kept.filled = false;
  const Tensor dstream = dhidden;
  backend_->rmsnorm_backward(dstream, gradients.vector(final_norm_), {}, dhidden, kept.layers.back().output,
                             weights_.vector(final_norm_), config_.hidden_size, config_.rms_norm_eps, false);
  for (int64_t l = config_.layers - 1; l >= 0; --l) {
    const LayerParameters& layer = layers_[static_cast<size_t>(l)];
    if (kept.recomputes()) {
      if (l == 0) backend_->embedding(kept.layers.front().input, tokens, weights_.weight(embedding_));
      recompute_attention(kept, l, tree, cache);
    }
    backward_mlp(gradients, dstream, layer, kept, l);
    backward_attention(gradients, dstream, tree, layer, kept, l, cache);
  }
  backend_->embedding_dw(gradients.weight(embedding_), tokens, dstream);
}

}  // namespace ajet
