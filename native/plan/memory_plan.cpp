#include "plan/memory_plan.h"

#include <algorithm>

#include "infer/kv_blocks.h"
#include "model/activations.h"
#include "model/parameters.h"
#include "train/head_pass.h"

namespace ajet {
namespace {

std::string tokens_text(int64_t tokens) { return std::to_string(tokens) + " tokens"; }

class Planner {
 public:
  Planner(const ModelConfig& model, const StorageFormat& format, const MemoryDemand& demand)
      : model_(model),
        format_(format),
        demand_(demand),
        dtype_(format.compute_dtype()),
        layout_(ParameterLayout::build(model, format)),
        places_(demand.trainer ? optimizer_places(format, demand.trainer->offload) : OptimizerPlaces{}) {}

  MemoryPlan plan() {
    add_weights("weights");
    if (demand_.trainer) add_arena("first moment", places_.moments);
    if (demand_.trainer) add_arena("second moment", places_.moments);
    if (demand_.trainer && demand_.trainer->reference) add_weights("reference");
    add_engine();
    if (demand_.trainer) add_pass();
    return std::move(plan_);
  }

 private:
  void add(MemoryPhase phase, const std::string& name, const std::string& detail, size_t bytes) {
    if (bytes > 0) plan_.entries.push_back({name, detail, phase, MemoryPlace::device, bytes});
  }

  void add_arena(const std::string& name, MatrixPlace place) {
    const ArenaBytes bytes = ParameterArena::bytes(layout_, dtype_, ArenaUse::values, place);
    add(MemoryPhase::always, name, "float32", bytes.device);
    if (bytes.host > 0) plan_.entries.push_back({name, "float32", MemoryPhase::always, MemoryPlace::host, bytes.host});
  }

  void add_weights(const std::string& name) {
    const ArenaBytes values = ParameterArena::bytes(layout_, dtype_, ArenaUse::values, places_.master);
    const ArenaBytes all = ParameterArena::bytes(layout_, dtype_, ArenaUse::weights, places_.master);
    add_arena(name, places_.master);
    add(MemoryPhase::always, name + " in bfloat16", "what products read", all.device - values.device);
  }

  // The cache last: it may take what the others leave.
  void add_engine() {
    EngineConfig config = demand_.engine;
    const EngineBytes bytes = engine_bytes(config, model_, format_);
    add(MemoryPhase::always, "inference pass", tokens_text(config.max_batch_tokens),
        bytes.hidden + Activations::Data::bytes(model_, dtype_, config.max_batch_tokens,
                                                {.keep = Keep::nothing, .mlp_rows = config.max_batch_tokens}));
    add(MemoryPhase::always, "sampler", "logits", bytes.sampler);
    if (config.kv_blocks == 0 && config.kv_bytes == 0) config.kv_blocks = blocks_that_fit();
    config = resolve(config, model_, format_);
    plan_.kv_blocks = config.kv_blocks;
    plan_.kv_bytes = engine_bytes(config, model_, format_).kv_cache;
    plan_.max_context = config.max_context;
    add(MemoryPhase::rollout, "KV cache",
        tokens_text(config.kv_blocks * kv_block_tokens) + " in " + std::to_string(config.kv_blocks) + " blocks",
        plan_.kv_bytes);
  }

  // In what the budget leaves, no more than all sequences fill at their full length.
  int64_t blocks_that_fit() const {
    const size_t block = format_.kv_cache_bytes(1, model_.layers, model_.kv_heads, model_.head_dim);
    const size_t always = plan_.sum(MemoryPhase::always);
    const size_t room = demand_.budget > always ? (demand_.budget - always) / block : 0;
    const EngineConfig& engine = demand_.engine;
    const int64_t context = engine.max_context > 0 ? engine.max_context : model_.max_position_embeddings;
    const int64_t useful = engine.max_sequences * blocks_for(context);
    return std::clamp<int64_t>(static_cast<int64_t>(std::min<size_t>(room, max_kv_blocks)), 1, useful);
  }

  void add_pass() {
    PassShape pass = demand_.pass ? *demand_.pass : largest_pass(model_, *demand_.trainer, plan_.max_context);
    PassBytes bytes = pass_bytes(model_, dtype_, layout_.elements, pass);
    const bool too_large = demand_.budget > 0 && plan_.sum(MemoryPhase::always) + bytes.total() > demand_.budget;
    if (!demand_.pass && too_large && demand_.trainer->recompute == Recompute::automatic) {
      pass.keep = Keep::layer_inputs;
      bytes = pass_bytes(model_, dtype_, layout_.elements, pass);
    }
    const std::string rows = tokens_text(pass.tokens);
    add(MemoryPhase::update, "gradients", "float32", bytes.gradients);
    add(MemoryPhase::update, "activations", rows + (pass.keep == Keep::layer_inputs ? ", layers recomputed" : ""),
        bytes.activations);
    add(MemoryPhase::update, "path cache", tokens_text(pass.path_rows), bytes.path_cache);
    add(MemoryPhase::update, "hidden states", rows, bytes.hidden + bytes.dhidden);
  }

  const ModelConfig& model_;
  const StorageFormat& format_;
  const MemoryDemand& demand_;
  DType dtype_;
  ParameterLayout layout_;
  OptimizerPlaces places_;
  MemoryPlan plan_;
};

}  // namespace

size_t MemoryPlan::sum(MemoryPhase phase, MemoryPlace place) const {
  size_t bytes = 0;
  for (const PlannedMemory& entry : entries)
    if (entry.phase == phase && entry.place == place) bytes += entry.bytes;
  return bytes;
}

size_t MemoryPlan::peak() const {
  return sum(MemoryPhase::always) + std::max(sum(MemoryPhase::rollout), sum(MemoryPhase::update));
}

PassShape largest_pass(const ModelConfig& model, const TrainerConfig& trainer, int64_t max_context) {
  return {.tokens = trainer.max_batch_tokens,
          .path_rows = max_context > trainer.max_batch_tokens ? max_context : 0,
          .head_rows = HeadPass::chunk_rows(model.vocab_size, trainer.head_scratch_bytes, trainer.max_batch_tokens),
          .keep = trainer.recompute == Recompute::layers ? Keep::layer_inputs : Keep::everything};
}

MemoryPlan plan_memory(const ModelConfig& model, const StorageFormat& format, const MemoryDemand& demand) {
  return Planner(model, format, demand).plan();
}

}  // namespace ajet
