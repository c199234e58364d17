// What a trainer holds, and the pass over a segment of a tree part that updates and scoring share.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "model/path_cache.h"
#include "train/head_pass.h"
#include "train/pass_memory.h"
#include "train/trainer.h"

namespace ajet {

struct TrainerCore {
  std::shared_ptr<Model> model;
  std::shared_ptr<Model> reference;  // null without TrainerConfig::reference
  TrainerConfig config;
  ParameterArena first_moment, second_moment;
  int64_t steps = 0;  // updates done

  // In the model's phase memory, from begin_pass() until somebody else takes it.
  PassMemory memory;
  ParameterArena gradients;  // of a pass with a backward pass
  HeadPass head;
  Activations activations;  // of the pass at hand, and the head's memory
  PathCache path_cache;     // of a part in several segments

  TrainerCore(std::shared_ptr<Model> model_, const TrainerConfig& config_);
  ~TrainerCore();
  TrainerCore(const TrainerCore&) = delete;
  TrainerCore& operator=(const TrainerCore&) = delete;

  // Before a pass over these parts of a tree: takes the phase memory. Gradients are 0 where a backward pass follows.
  void begin_pass(std::span<const TreePart> parts, bool backward);
  // Whether the last pass left gradients that are still there.
  bool holds_gradients() const;

  // Before the first forward pass over a part's segments.
  void start_part(std::span<const PartSegment> segments, bool with_gradient);
  // Null for a part that is computed at once.
  PathCache* cache_of(const PartSegment& segment) { return segment.whole() ? nullptr : &path_cache; }
  // Hidden states [tokens of the segment, hidden size] of `source`; valid until the next call. The first passes over
  // a part's segments come in their order. for_backward: the activations are kept; others must not be waiting.
  Tensor forward(Model& source, const PartSegment& segment, bool for_backward);
  // Zeros of the same shape; valid until the next call.
  Tensor zero_dhidden(const PartSegment& segment);
  // Calls visit(chunk) for all entries of the segment.
  void for_each_chunk(Model& source, const TokenTree& tree, const PartSegment& segment, Tensor states,
                      const std::function<void(const HeadChunk&)>& visit);

 private:
  PassBytes bytes_of(const PassShape& shape) const;
  int64_t chunk_rows() const;  // of the LM head
  Keep choose_keep(PassShape shape) const;

  Keep keep_ = Keep::nothing;  // of this pass' activations that a backward pass needs
};

struct Trainer::State : TrainerCore {
  using TrainerCore::TrainerCore;
};

}  // namespace ajet
