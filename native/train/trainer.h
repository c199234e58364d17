// One update: token tree -> micro-batches -> forward, loss, backward -> clip -> AdamW -> weights version + 1.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/model.h"
#include "train/policy_loss.h"
#include "train/token_tree.h"

namespace ajet {

enum class Schedule : uint8_t { constant = 0, linear = 1, cosine = 2 };

struct OptimizerConfig {
  double learning_rate = 1e-6;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0.01;
  double max_grad_norm = 1.0;  // 0: no clipping
  Schedule schedule = Schedule::constant;
  int64_t warmup_steps = 0;
  int64_t total_steps = 0;   // linear and cosine end here
  double final_ratio = 0.0;  // of learning_rate at the end
};

// What of AdamW's state lies in the host's memory. An update then takes as long as the bus needs for it, each way.
enum class OptimizerOffload : uint8_t {
  none = 0,
  moments = 1,            // 8 bytes a parameter
  moments_and_master = 2  // 12: the f32 master weights, too
};

// Step counts from 0. Warm-up is linear from learning_rate / warmup_steps.
double learning_rate_at(const OptimizerConfig& config, int64_t step);

// What a backward pass computes again rather than keeping it since the forward pass. Bits are the same.
enum class Recompute : uint8_t {
  automatic = 0,  // none, unless that needs more memory than the device has left
  none = 1,
  layers = 2,  // all but each layer's input
};

struct TrainerConfig {
  OptimizerConfig optimizer;
  int64_t max_batch_tokens = 4096;           // rows of one micro-batch; a longer path is computed in segments
  int64_t head_scratch_bytes = 256LL << 20;  // logits held at once
  Recompute recompute = Recompute::automatic;
  bool reference = false;  // keep a frozen copy of the weights for KL
  // The same bits in every mode. No effect on a device that computes in the host's memory.
  OptimizerOffload offload = OptimizerOffload::none;
};

// Where a trainer has AdamW's moments and the f32 master weights.
struct OptimizerPlaces {
  MatrixPlace moments = MatrixPlace::device, master = MatrixPlace::device;
};
OptimizerPlaces optimizer_places(const StorageFormat& format, OptimizerOffload offload);

struct StepBatch {
  std::vector<CallChoice> calls;
  std::vector<double> rewards;     // [episodes]
  std::vector<int32_t> groups;     // [episodes]
  std::vector<double> advantages;  // [episodes]; given: used as they are instead of rewards and groups
  bool evaluate_only = false;      // forward, losses and log-probs; no gradient, no update
};

struct StepStats {
  double loss = 0, policy_loss = 0, kl = 0, entropy = 0, clip_fraction = 0, ratio_max = 0;
  double grad_norm = 0, learning_rate = 0;
  double logprob_max_abs_diff = 0;  // over every trained token with a recorded log-prob, before the weights change
  int64_t logprobs_compared = 0;
  int64_t entries = 0, rows = 0, rows_left_out = 0;
  int64_t tokens_tree = 0;  // unique tokens
  // Forward positions of the policy that were computed, those computed again included: the path above a cut at a
  // branch, all but the last segment of a path that is cut within (a first pass for the keys and values, a second for
  // the gradient), and everything once more where sequence-level losses score first.
  int64_t tokens_trained = 0;
  int64_t tokens_recomputed = 0;  // beside those: positions whose layers the backward computed again (Recompute)
  int64_t tokens_unshared = 0;    // one padded-free row per merged timeline
  int64_t micro_batches = 0;      // parts of the tree, segments of a path counting each
  bool updated = false;           // false: nothing left to train on, or evaluate_only
  double forward_seconds = 0, backward_seconds = 0, optimizer_seconds = 0;
  uint64_t version = 0;                // after the update
  std::vector<CallFate> fates;         // [calls]
  std::vector<double> advantages;      // [episodes]
  std::vector<uint8_t> episodes_kept;  // [episodes]
  // Per call choice and sampled token (flat, in call order): the trainer's own values.
  std::vector<float> logprobs, entropies;
};

class Trainer {
 public:
  // Throws invalid_argument on an option out of its range, and on moments_and_master where products read the f32
  // weights themselves (dtype float32). The model's master weights stay where `offload` puts them.
  Trainer(std::shared_ptr<Model> model, const TrainerConfig& config);
  ~Trainer();

  // Throws numeric (weights untouched) when the loss or the gradient norm is NaN or infinite; aborted when
  // `should_stop` returned true between micro-batches or chunks of the LM head (weights untouched).
  StepStats step(const StepBatch& batch, const LossConfig& loss, const std::function<bool()>& should_stop = {});

  // Log-probs and entropies of each call's sampled tokens under the current weights (or the frozen reference).
  void score(const std::vector<CallChoice>& calls, bool reference, std::vector<float>& logprobs,
             std::vector<float>& entropies);

  int64_t steps_done() const;
  // Gradients of the last step before clipping, for tests. Throws invalid_argument where the step made none, or where
  // another pass or the engine has had their memory since.
  const ParameterArena& gradients() const;

  // trainer_state.safetensors: moments (Hugging Face names with .m and .v), step, version, format; the reference's
  // weights where there is one (reference.safetensors). Written atomically; corrupt or foreign files are errors.
  void save_state(const std::string& directory) const;
  void load_state(const std::string& directory);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ajet
