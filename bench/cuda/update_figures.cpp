// Whole updates: a group of responses to one prompt, and one long sequence.
#include <string>
#include <vector>

#include "base/error.h"
#include "exchange.h"
#include "figure.h"
#include "group_step.h"
#include "measure.h"
#include "shapes.h"
#include "train/trainer.h"
#include "work.h"

namespace ajet::bench {
namespace {

// What an update does to need less memory.
struct Saving {
  Recompute recompute = Recompute::automatic;
  OptimizerOffload offload = OptimizerOffload::none;

  std::string text() const {
    return std::string(recompute == Recompute::layers ? ", layers recomputed" : "") +
           (offload == OptimizerOffload::none      ? ""
            : offload == OptimizerOffload::moments ? ", moments in host memory"
                                                   : ", moments and master weights in host memory");
  }
};

struct UpdateCase {
  std::string figure, model;
  GroupShape shape;
  Saving saving;
  bool first;  // of the figure

  std::string name() const { return model + ", " + shape.text(); }
};

TrainerConfig trainer_config(const Options& options, const Saving& saving, const ForwardWork& work) {
  TrainerConfig config;
  config.recompute = saving.recompute;
  config.offload = saving.offload;
  config.optimizer.learning_rate = 0.0;  // every repeat does the same work on the same weights
  config.max_batch_tokens = options.batch_tokens > 0 ? options.batch_tokens : static_cast<int64_t>(work.tokens);
  return config;
}

void check_same_logprobs(const StepStats& stats, const UpdateCase& update) {
  const int64_t trained = update.shape.response * update.shape.responses;
  if (stats.logprob_max_abs_diff == 0.0 && stats.logprobs_compared == trained) return;
  fail(ErrorCode::internal,
       "[bench] Expected the " + std::to_string(trained) + " recorded log-probs to be the update's own but " +
           std::to_string(stats.logprobs_compared) + " were compared, and the largest difference is " +
           std::to_string(stats.logprob_max_abs_diff));
}

void measure_case(Bench& bench, const UpdateCase& update) {
  const Options& options = bench.options();
  const auto backend = bench.backend();
  const ModelConfig shape = model_shape(update.model);
  const auto model = Model::random(backend, shape, 1);
  const ForwardWork work = group_work(update.shape.prompt, update.shape.response, update.shape.responses);
  Trainer trainer(model, trainer_config(options, update.saving, work));
  GroupStep group(update.shape, shape.vocab_size);
  group.record(trainer);
  const StepBatch batch = group.batch();
  const LossConfig loss = loss_preset("ajet");

  std::vector<StepStats> steps;
  const Times times = measure(*backend, options.seconds, [&] {
    steps.push_back(trainer.step(batch, loss));
    check_same_logprobs(steps.back(), update);
  });
  const StepStats& last = steps.back();
  const auto peak = static_cast<int64_t>(backend->memory().peak_bytes);
  bench.report({.figure = update.figure,
                .name = update.name() + update.saving.text(),
                .times = times,
                .flops = update_flops(shape, work),
                .tokens = static_cast<double>(update.figure == "long" ? update.shape.prompt + update.shape.response
                                                                      : update.shape.response * update.shape.responses),
                .more = {{"tokens_computed", last.tokens_trained},
                         {"tokens_recomputed", last.tokens_recomputed},
                         {"tokens_unshared", last.tokens_unshared},
                         {"micro_batches", last.micro_batches},
                         {"forward_seconds", last.forward_seconds},
                         {"backward_seconds", last.backward_seconds},
                         {"optimizer_seconds", last.optimizer_seconds},
                         {"grad_norm", last.grad_norm},
                         {"logprobs_compared", last.logprobs_compared},
                         {"logprob_max_abs_diff", last.logprob_max_abs_diff},
                         {"peak_bytes", peak}}});
  if (options.exchange.empty() || !update.saving.text().empty()) return;
  exchange_model(options.exchange, update.model, *model);
  exchange_inputs(options.exchange, update.figure, update.first,
                  Json::Object{{"model", update.model},
                               {"name", update.name()},
                               {"prompt", json_array(group.prompt())},
                               {"responses", json_array(group.responses())},
                               {"logprobs", json_array(group.logprobs())},
                               {"advantages", json_array(batch.advantages)},
                               {"grad_norm", last.grad_norm}});
}

void measure_cases(Bench& bench, const std::string& figure, std::vector<std::string> models,
                   const std::vector<GroupShape>& shapes, std::vector<Saving> savings) {
  const Options& options = bench.options();
  if (!options.models.empty()) models = options.models;
  if (options.recompute || options.offload)
    savings = {{options.recompute.value_or(Recompute::automatic), options.offload.value_or(OptimizerOffload::none)}};
  bool first = true;
  for (const std::string& model : models) {
    for (const GroupShape& shape : shapes) {
      for (const Saving& saving : savings) {
        measure_case(bench, {figure, model, shape, saving, first});
        first = false;
      }
    }
  }
}

}  // namespace

void measure_update(Bench& bench) {
  const auto models =
      bench.pick<std::vector<std::string>>({"qwen3-0.6b", "qwen2.5-1.5b"}, {"small-qwen3", "small-qwen2"});
  const auto shapes = bench.pick<std::vector<GroupShape>>({{512, 1024, 8}, {2048, 512, 8}}, {{16, 24, 4}, {48, 12, 4}});
  measure_cases(bench, "update", models, shapes, {{}});
}

// A prompt of one token: every other one is trained.
void measure_long(Bench& bench) {
  const int64_t tokens = bench.pick<int64_t>(16384, 256);
  measure_cases(bench, "long", {bench.pick("qwen3-0.6b", "small-qwen3")}, {{1, tokens - 1, 1}},
                {{}, {Recompute::layers}, {Recompute::layers, OptimizerOffload::moments}});
}

}  // namespace ajet::bench
