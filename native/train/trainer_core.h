// What a trainer holds, and the pass over one tree part that updates and scoring share.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "train/head_pass.h"
#include "train/trainer.h"

namespace ajet {

struct TrainerCore {
  std::shared_ptr<Model> model;
  std::shared_ptr<Model> reference;  // null without TrainerConfig::reference
  TrainerConfig config;
  ParameterArena gradients, first_moment, second_moment;
  int64_t steps = 0;  // updates done

  HeadPass head;
  Activations activations;
  Buffer hidden_buffer, dhidden_buffer;

  TrainerCore(std::shared_ptr<Model> model_, const TrainerConfig& config_);

  // Hidden states [tokens of the part, hidden size] of `source`; valid until the next call.
  Tensor forward(Model& source, const TreePart& part, Activations* keep);
  // Zeros of the same shape; valid until the next call.
  Tensor zero_dhidden(const TreePart& part);
  // Calls visit(chunk) for all entries of the part.
  void for_each_chunk(Model& source, const TokenTree& tree, const TreePart& part, Tensor states,
                      const std::function<void(const HeadChunk&)>& visit);
};

struct Trainer::State : TrainerCore {
  using TrainerCore::TrainerCore;
};

}  // namespace ajet
