#include <napi.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "base/error.h"
#include "binding/call_arrays.h"
#include "binding/core_options.h"
#include "binding/functions.h"
#include "binding/loss_options.h"
#include "binding/options.h"
#include "binding/trainer_core.h"
#include "binding/typed_arrays.h"

namespace ajet::binding {

TrainerConfig read_trainer_options(const char* op, Napi::Value value) {
  constexpr int64_t max_count = 1LL << 52;
  Options options(op, value);
  TrainerConfig config;
  OptimizerConfig& optimizer = config.optimizer;
  optimizer.learning_rate = options.number("learningRate", optimizer.learning_rate, {.low = 0});
  optimizer.beta1 = options.number("beta1", optimizer.beta1, {.low = 0, .high = 1, .open_high = true});
  optimizer.beta2 = options.number("beta2", optimizer.beta2, {.low = 0, .high = 1, .open_high = true});
  optimizer.epsilon = options.number("epsilon", optimizer.epsilon, {.low = 0, .open_low = true});
  optimizer.weight_decay = options.number("weightDecay", optimizer.weight_decay, {.low = 0});
  optimizer.max_grad_norm = options.number("maxGradNorm", optimizer.max_grad_norm, {.low = 0});
  optimizer.schedule = options.choice<Schedule>(
      "schedule", optimizer.schedule,
      {{"constant", Schedule::constant}, {"linear", Schedule::linear}, {"cosine", Schedule::cosine}});
  optimizer.warmup_steps = options.integer("warmupSteps", optimizer.warmup_steps, 0, max_count);
  optimizer.total_steps = options.integer("totalSteps", optimizer.total_steps, 0, max_count);
  optimizer.final_ratio = options.number("finalRatio", optimizer.final_ratio, {.low = 0, .high = 1});
  config.max_batch_tokens = options.integer("maxBatchTokens", config.max_batch_tokens, 1, 1LL << 31);
  config.offload = options.choice<OptimizerOffload>("offload", config.offload,
                                                    {{"none", OptimizerOffload::none},
                                                     {"moments", OptimizerOffload::moments},
                                                     {"moments_and_master", OptimizerOffload::moments_and_master}});
  config.recompute = options.choice<Recompute>(
      "recompute", config.recompute,
      {{"auto", Recompute::automatic}, {"none", Recompute::none}, {"layers", Recompute::layers}});
  config.reference = options.flag("reference", config.reference);
  options.finish();
  return config;
}

namespace {

uint64_t step_id(Napi::Value value) {
  const double id = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
  require(id >= 1 && id <= 9007199254740991.0, "[trainer.step] Expected a positive integer for the step's id");
  return static_cast<uint64_t>(id);
}

// A training batch that owns its arrays.
struct OwnedBatch {
  CallArrays calls;
  StepBatch step;  // without calls: views are made on the device thread, when nothing moves any more
};

std::shared_ptr<OwnedBatch> read_batch(Napi::Value value, int64_t vocab_size) {
  constexpr const char* op = "trainer.step";
  Options fields(op, value);
  auto batch = std::make_shared<OwnedBatch>();
  // Supervised batches have neither rewards nor groups.
  const bool scored = fields.given("rewards");
  if (scored) batch->step.rewards = copy_float64(op, "rewards", fields.value("rewards"));
  if (fields.given("groups")) batch->step.groups = copy_int32(op, "groups", fields.value("groups"));
  if (fields.given("advantages")) batch->step.advantages = copy_float64(op, "advantages", fields.value("advantages"));
  batch->step.evaluate_only = fields.flag("evaluateOnly", false);
  const size_t given = scored ? batch->step.rewards.size() : batch->step.advantages.size();
  const auto episodes = scored || given > 0 ? static_cast<int64_t>(given) : std::numeric_limits<int32_t>::max();
  batch->calls = copy_calls(op, fields.value("calls"), episodes, vocab_size);
  fields.finish();
  const auto expect = [episodes](const char* name, size_t received) {
    if (static_cast<int64_t>(received) == episodes) return;
    fail(ErrorCode::invalid_argument, "[trainer.step] Expected " + std::to_string(episodes) +
                                          " values (one an episode) for `" + name + "` but received " +
                                          std::to_string(received));
  };
  const auto expect_finite = [](const char* name, const std::vector<double>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values[i])) {
        fail(ErrorCode::invalid_argument, std::string("[trainer.step] Expected a finite number for `") + name + "[" +
                                              std::to_string(i) + "]` but received " + std::to_string(values[i]));
      }
    }
  };
  if (scored || fields.given("groups")) expect("groups", batch->step.groups.size());
  if (fields.given("advantages")) expect("advantages", batch->step.advantages.size());
  expect_finite("rewards", batch->step.rewards);
  expect_finite("advantages", batch->step.advantages);
  return batch;
}

Napi::Value stats_to_js(Napi::Env env, const StepStats& stats) {
  const Napi::Object out = Napi::Object::New(env);
  const auto set = [&out](const char* name, auto value) { out.Set(name, static_cast<double>(value)); };
  set("loss", stats.loss);
  set("policyLoss", stats.policy_loss);
  set("kl", stats.kl);
  set("entropy", stats.entropy);
  set("clipFraction", stats.clip_fraction);
  set("ratioMax", stats.ratio_max);
  set("gradNorm", stats.grad_norm);
  set("learningRate", stats.learning_rate);
  set("logprobMaxAbsDiff", stats.logprob_max_abs_diff);
  set("logprobsCompared", stats.logprobs_compared);
  set("entries", stats.entries);
  set("rows", stats.rows);
  set("rowsLeftOut", stats.rows_left_out);
  set("tokensTree", stats.tokens_tree);
  set("tokensTrained", stats.tokens_trained);
  set("tokensRecomputed", stats.tokens_recomputed);
  set("tokensUnshared", stats.tokens_unshared);
  set("microBatches", stats.micro_batches);
  out.Set("updated", stats.updated);
  set("forwardSeconds", stats.forward_seconds);
  set("backwardSeconds", stats.backward_seconds);
  set("optimizerSeconds", stats.optimizer_seconds);
  set("version", stats.version);
  std::vector<uint8_t> fates(stats.fates.size());
  for (size_t i = 0; i < fates.size(); ++i) fates[i] = static_cast<uint8_t>(stats.fates[i]);
  out.Set("fates", to_js(env, fates));
  out.Set("advantages", to_js(env, stats.advantages));
  out.Set("episodesKept", to_js(env, stats.episodes_kept));
  out.Set("logprobs", to_js(env, stats.logprobs));
  out.Set("entropies", to_js(env, stats.entropies));
  return out;
}

// saveState and loadState.
Napi::Promise state_job(const char* op, const Napi::CallbackInfo& info, void (*run)(TrainerCore&, const std::string&)) {
  const auto& core = core_argument<TrainerCore>(op, info[0]);
  if (!info[1].IsString()) {
    fail(ErrorCode::invalid_argument,
         std::string("[") + op + "] Expected a string for `dir` but received " + describe(info[1]));
  }
  return AddonData::get(info.Env())
      .submit(info.Env(), info[0].As<Napi::Object>(), JobKind::heavy,
              [core, run, directory = info[1].As<Napi::String>().Utf8Value()]() -> Result {
                run(*core, directory);
                return [](Napi::Env env) { return env.Undefined(); };
              });
}

}  // namespace

// (model, options) => Promise<TrainerHandle>
Napi::Value create_trainer(const Napi::CallbackInfo& info) {
  const auto& model = core_argument<ModelCore>("createTrainer", info[0]);
  const TrainerConfig config = read_trainer_options("createTrainer", info[1]);
  auto core = std::make_shared<TrainerCore>();
  core->model = model;
  model->add_child(core);
  return AddonData::get(info.Env())
      .submit(info.Env(), info[0].As<Napi::Object>(), JobKind::heavy, [core, config]() -> Result {
        core->host_bytes = allocated_bytes(*core->model->open_model().backend(), [&] {
          core->trainer = std::make_unique<Trainer>(core->model->shared_model(), config);
        });
        return [core](Napi::Env env) -> Napi::Value { return make_handle(env, core); };
      });
}

// (trainer, stepId, batch, loss) => Promise<NativeTrainStats>
Napi::Value trainer_step(const Napi::CallbackInfo& info) {
  const auto& core = core_argument<TrainerCore>("trainer.step", info[0]);
  const uint64_t id = step_id(info[1]);
  auto batch = read_batch(info[2], core->model->config.vocab_size);
  const LossConfig loss = read_loss_options("trainer.step", info[3]);
  const auto aborted = std::make_shared<AbortFlag>(false);
  std::erase_if(core->abort_flags, [](const auto& flag) { return flag.second.expired(); });
  core->abort_flags[id] = aborted;
  AddonData& data = AddonData::get(info.Env());
  return data.submit(info.Env(), info[0].As<Napi::Object>(), JobKind::heavy,
                     [core, batch, loss, aborted, device = &data.device()]() -> Result {
                       const auto should_stop = [&] { return aborted->load() || device->stopping(); };
                       if (should_stop()) fail(ErrorCode::aborted, "[trainer.step] Aborted before it began");
                       batch->step.calls = batch->calls.choices();
                       StepStats stats = core->open_trainer().step(batch->step, loss, should_stop);
                       core->publish();
                       return [stats = std::move(stats)](Napi::Env env) { return stats_to_js(env, stats); };
                     });
}

// (trainer, stepId) => void
Napi::Value trainer_abort_step(const Napi::CallbackInfo& info) {
  TrainerCore& core = *holder_argument<TrainerCore>("trainer.step", info[0]).core;
  const auto found = core.abort_flags.find(step_id(info[1]));
  if (found != core.abort_flags.end()) {
    if (const auto flag = found->second.lock()) flag->store(true);
  }
  return info.Env().Undefined();
}

// (trainer, calls, reference) => Promise<{ logprobs, entropies }>
Napi::Value trainer_score(const Napi::CallbackInfo& info) {
  const auto& core = core_argument<TrainerCore>("trainer.score", info[0]);
  constexpr int64_t any_episode = std::numeric_limits<int32_t>::max();
  auto calls =
      std::make_shared<CallArrays>(copy_calls("trainer.score", info[1], any_episode, core->model->config.vocab_size));
  const bool reference = info[2].ToBoolean();
  return AddonData::get(info.Env())
      .submit(info.Env(), info[0].As<Napi::Object>(), JobKind::heavy, [core, calls, reference]() -> Result {
        std::vector<float> logprobs, entropies;
        core->open_trainer().score(calls->choices(), reference, logprobs, entropies);
        return [logprobs = std::move(logprobs), entropies = std::move(entropies)](Napi::Env env) -> Napi::Value {
          const Napi::Object out = Napi::Object::New(env);
          out.Set("logprobs", to_js(env, logprobs));
          out.Set("entropies", to_js(env, entropies));
          return out;
        };
      });
}

// (trainer) => number
Napi::Value trainer_steps_done(const Napi::CallbackInfo& info) {
  const TrainerCore& core = *holder_argument<TrainerCore>("trainer.stepsDone", info[0]).core;
  return Napi::Number::New(info.Env(), static_cast<double>(core.steps_done.load()));
}

// (trainer, directory) => Promise<void>
Napi::Value trainer_save_state(const Napi::CallbackInfo& info) {
  return state_job("trainer.saveState", info,
                   [](TrainerCore& core, const std::string& directory) { core.open_trainer().save_state(directory); });
}

// (trainer, directory) => Promise<void>
Napi::Value trainer_load_state(const Napi::CallbackInfo& info) {
  return state_job("trainer.loadState", info, [](TrainerCore& core, const std::string& directory) {
    core.open_trainer().load_state(directory);
    core.publish();
  });
}

// (trainer) => Promise<void>
Napi::Value trainer_dispose(const Napi::CallbackInfo& info) {
  return dispose_handle<TrainerCore>("trainer.dispose", info);
}

}  // namespace ajet::binding
