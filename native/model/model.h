// Weights by name with a version, and the forward and backward passes over them. One code path for training
// (token tree, activations kept) and inference (paged KV, nothing kept).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "model/model_config.h"
#include "model/parameters.h"

namespace ajet {

class AttachedWeights;
class PathCache;
class PhaseMemory;
class SharedWeights;
struct ForwardTensors;
struct MlpChunk;

// Indices into ParameterLayout::parameters; -1 where the family has none.
struct LayerParameters {
  int input_norm, qkv, qkv_bias, q_norm, k_norm, output, output_bias;
  int post_norm, gate_up, gate_up_bias, down, down_bias;
};

// What a forward pass over a tree keeps for its backward pass.
enum class Keep : uint8_t {
  nothing,       // none follows
  layer_inputs,  // the backward computes the rest of each layer again, to the same bits (Chen et al. 2016)
  everything,
};

// How the tensors of a pass share memory.
struct ActivationLayout {
  Keep keep = Keep::everything;
  // Rows that go through a layer's MLP, whose tensors are the widest, at a time. The gradients of its weights add up
  // chunk by chunk: their last bits depend on it, though not on `keep`.
  int64_t mlp_rows = 4096;
  size_t lent_bytes = 0;  // see Activations::Data::lent()
};

// What the backward needs of one forward pass over a tree. Owned by the caller, reused between micro-batches.
class Activations {
 public:
  ActivationLayout layout;  // of the forward passes from now on

  Activations();
  ~Activations();
  Activations(Activations&&) noexcept;
  Activations& operator=(Activations&&) noexcept;
  struct Data;
  std::unique_ptr<Data> data;
};

class Model {
 public:
  // Random weights: normal(0, 0.02) matrices, ones for norms, zeros for biases, by seed and tensor name.
  static std::shared_ptr<Model> random(std::shared_ptr<Backend> backend, const ModelConfig& config, uint64_t seed);
  // A Hugging Face folder: config.json and model.safetensors, or shards with model.safetensors.index.json.
  static std::shared_ptr<Model> load(std::shared_ptr<Backend> backend, const std::string& directory);

  Model(std::shared_ptr<Backend> backend, const ModelConfig& config);
  // The weights of a training run in another process, read in place.
  Model(std::shared_ptr<Backend> backend, std::shared_ptr<AttachedWeights> weights);
  ~Model();

  const ModelConfig& config() const { return config_; }
  const std::shared_ptr<Backend>& backend() const { return backend_; }
  ParameterArena& weights() { return weights_; }
  const ParameterArena& weights() const { return weights_; }

  // Starts at 0; +1 with each update of the weights. What was computed under another version is stale.
  uint64_t version() const { return version_; }
  void weights_changed() { ++version_; }
  void set_version(uint64_t version);

  // Lets other processes read the weights in place; the path of the segment that they open. Writers and readers of
  // weights go by weights_access.h.
  const std::string& share();
  SharedWeights* shared() { return shared_.get(); }        // null: no other process can read them
  AttachedWeights* attached() { return attached_.get(); }  // null: they are this process' own

  // The matrices' f32 master copies go to host memory, for good; products' copies and vectors stay on the device.
  // Throws invalid_argument where other processes read the weights already.
  void offload_master_weights();

  // What this model's engine and trainers lend each other.
  PhaseMemory& phase_memory() { return *phase_memory_; }

  // A second model on the same backend with a copy of the weights (the frozen reference).
  std::shared_ptr<Model> frozen_copy() const;

  // config.json and model.safetensors (dtype "float32" or "bfloat16") into an existing folder, each file written
  // beside its place, synced and renamed.
  void save(const std::string& directory, const std::string& dtype) const;

  // Hidden states after the final norm, [tokens, hidden], in `hidden` (allocated by the caller). `activations` keep
  // what their layout says; null: the pass runs in the model's own memory and keeps nothing. `tokens` are those behind
  // the tree's context, which needs a `cache` that passes over the earlier rows have filled; a cache takes the new
  // rows' keys and values too.
  void forward_tree(Tensor hidden, std::span<const int32_t> tokens, const TreeLayout& tree, Activations* activations,
                    PathCache* cache = nullptr);
  // Adds the gradients of everything below the final norm's output to `gradients`. dhidden is overwritten. With a
  // cache: what these tokens send to the context is kept there until the context's own backward pass.
  void backward_tree(ParameterArena& gradients, Tensor dhidden, std::span<const int32_t> tokens, const TreeLayout& tree,
                     Activations& activations, PathCache* cache = nullptr);
  // As forward_tree, over paged KV: writes the new tokens' KV, reads what came before. A token -1 - i stands for
  // drawn[i].token, in device memory.
  void forward_paged(Tensor hidden, std::span<const int32_t> tokens, const PagedLayout& layout, const KvCache& cache,
                     std::span<const TokenLogprob> drawn = {});

  // What a forward pass over every layer reads.
  size_t weight_bytes() const;

  // The matrix that makes logits of hidden states (the embedding where tied), and its gradient's place.
  Weight head() const;
  Weight head_gradient(ParameterArena& gradients) const;

 private:
  friend class WeightsPass;
  void find_parameters();
  // The one forward pass. `attend(layer, o, lse, q, k, v)` is all that differs between tree and paged KV.
  template <typename Attend>
  void forward(Tensor hidden, std::span<const int32_t> tokens, std::span<const TokenLogprob> drawn,
               std::span<const int32_t> positions, const ForwardTensors& activations, const Attend& attend);
  // A layer up to `middle`, with all that the backward of its attention reads.
  template <typename Attend>
  void forward_attention(const ForwardTensors& activations, int64_t index, std::span<const int32_t> positions,
                         const Attend& attend);
  void forward_mlp(const ForwardTensors& activations, int64_t index);
  void forward_gate_up(const LayerParameters& layer, const MlpChunk& chunk);
  // forward_attention again. The cache, where there is one, has the keys and values.
  void recompute_attention(const ForwardTensors& activations, int64_t index, const TreeLayout& tree, PathCache* cache);
  void backward_mlp(ParameterArena& gradients, Tensor dstream, const LayerParameters& layer,
                    Activations::Data& activations, int64_t index);
  void backward_attention(ParameterArena& gradients, Tensor dstream, const TreeLayout& tree,
                          const LayerParameters& layer, Activations::Data& activations, int64_t index,
                          PathCache* cache);
  Tensor vector_or_none(const ParameterArena& arena, int parameter) const;
  AttentionShape attention_shape() const;

  ModelConfig config_;
  std::shared_ptr<Backend> backend_;
  std::shared_ptr<AttachedWeights> attached_;
  ParameterArena weights_;
  std::unique_ptr<SharedWeights> shared_;  // behind weights_: readers are out before those are freed
  uint64_t version_ = 0;
  int embedding_ = -1, final_norm_ = -1, head_ = -1;
  std::vector<LayerParameters> layers_;
  std::vector<float> inverse_frequencies_;
  std::unique_ptr<Activations> workspace_;  // of passes that keep nothing
  std::unique_ptr<PhaseMemory> phase_memory_;
};

}  // namespace ajet
