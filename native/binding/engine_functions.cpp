#include <napi.h>

#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "binding/core_options.h"
#include "binding/engine_core.h"
#include "binding/functions.h"
#include "binding/model_core.h"
#include "binding/options.h"
#include "binding/typed_arrays.h"

namespace ajet::binding {
namespace {

constexpr int64_t max_int32 = std::numeric_limits<int32_t>::max();

}  // namespace

EngineConfig read_engine_options(const char* op, Napi::Value value) {
  Options options(op, value);
  EngineConfig config;
  config.max_sequences = static_cast<int32_t>(options.integer("maxSequences", config.max_sequences, 1, 1 << 16));
  config.max_batch_tokens =
      static_cast<int32_t>(options.integer("maxBatchTokens", config.max_batch_tokens, 1, 1 << 20));
  config.max_context = static_cast<int32_t>(options.integer("maxContext", config.max_context, 0, max_int32));
  config.kv_bytes = options.integer("kvBytes", config.kv_bytes, 1, 1LL << 46);
  options.finish();
  return config;
}

namespace {

uint64_t request_id(const char* op, Napi::Value value) {
  const double id = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
  if (!(id >= 1 && id <= 9007199254740991.0)) {
    fail(ErrorCode::invalid_argument,
         std::string("[") + op + "] Expected a positive integer for the request's id but received " + describe(value));
  }
  return static_cast<uint64_t>(id);
}

Request read_request(const Napi::CallbackInfo& info) {
  constexpr const char* op = "generate";
  Request request;
  request.id = request_id(op, info[1]);
  request.prompt = copy_int32(op, "promptIds", info[2]);
  Options options(op, info[3]);
  SamplingParams& sampling = request.sampling;
  if (!options.given("maxTokens")) fail(ErrorCode::invalid_argument, "[generate] Expected an integer for `maxTokens`");
  sampling.max_tokens = static_cast<int32_t>(options.integer("maxTokens", 1, 1, max_int32));
  sampling.temperature = static_cast<float>(options.number("temperature", 1, {.low = 0}));
  sampling.top_p = static_cast<float>(options.number("topP", 1, {.low = 0, .high = 1, .open_low = true}));
  sampling.min_p = static_cast<float>(options.number("minP", 0, {.low = 0, .high = 1, .open_high = true}));
  sampling.top_k = static_cast<int32_t>(options.integer("topK", 0, 0, max_int32));
  sampling.seed = options.seed("seed", 0);
  sampling.top_logprobs = static_cast<int32_t>(options.integer("topLogprobs", 0, 0, 20));
  sampling.stop_token_ids = options.int32_array("stopTokenIds");
  request.choices = static_cast<int32_t>(options.integer("choices", 1, 1, 4096));
  options.finish();
  return request;
}

}  // namespace

// (model, options) => Promise<EngineHandle>
Napi::Value create_engine(const Napi::CallbackInfo& info) {
  const auto& model = core_argument<ModelCore>("createEngine", info[0]);
  const EngineConfig config = read_engine_options("createEngine", info[1]);
  auto core = std::make_shared<EngineCore>();
  model->add_child(core);
  return AddonData::get(info.Env())
      .submit(info.Env(), info[0].As<Napi::Object>(), JobKind::heavy, [model, core, config]() -> Result {
        core->host_bytes =
            allocated_bytes(*model->open_model().backend(), [&] { core->open(model->shared_model(), config); });
        return [core](Napi::Env env) -> Napi::Value { return make_handle(env, core); };
      });
}

// (engine, requestId, promptIds, options, streaming) => Promise<NativeCompletions>
Napi::Value engine_generate(const Napi::CallbackInfo& info) {
  const auto& core = core_argument<EngineCore>("generate", info[0]);
  const bool streaming = info[4].ToBoolean();
  AddonData& data = AddonData::get(info.Env());
  return data.submit_open(
      info.Env(), info[0].As<Napi::Object>(),
      [core, device = &data.device(), request = read_request(info), streaming](uint64_t promise) mutable {
        core->submit(*device, std::move(request), promise, streaming);
      });
}

// (engine, requestId, choice?) => void
Napi::Value engine_cancel(const Napi::CallbackInfo& info) {
  const auto& core = holder_argument<EngineCore>("cancel", info[0]).core;
  std::optional<int32_t> choice;
  if (info[2].IsNumber()) choice = info[2].As<Napi::Number>().Int32Value();
  AddonData::get(info.Env()).device().enqueue([core, id = request_id("cancel", info[1]), choice] {
    core->cancel(id, choice);
  });
  return info.Env().Undefined();
}

// (engine) => Promise<void>
Napi::Value engine_cancel_all(const Napi::CallbackInfo& info) {
  const auto& core = core_argument<EngineCore>("cancelAll", info[0]);
  return AddonData::get(info.Env()).submit(info.Env(), info[0].As<Napi::Object>(), JobKind::light, [core]() -> Result {
    core->cancel_all();
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

// (engine) => EngineStats
Napi::Value engine_stats(const Napi::CallbackInfo& info) {
  const EngineStats stats = core_argument<EngineCore>("stats", info[0])->stats();
  const Napi::Object out = Napi::Object::New(info.Env());
  const auto set = [&out](const char* name, auto value) { out.Set(name, static_cast<double>(value)); };
  set("promptTokens", stats.prompt_tokens);
  set("prefixHitTokens", stats.prefix_hit_tokens);
  set("prefillTokens", stats.prefill_tokens);
  set("generatedTokens", stats.generated_tokens);
  set("preemptions", stats.preemptions);
  set("waiting", stats.waiting);
  set("running", stats.running);
  set("freeBlocks", stats.free_blocks);
  set("totalBlocks", stats.total_blocks);
  return out;
}

// (engine) => number
Napi::Value engine_max_context(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), holder_argument<EngineCore>("engine.maxContext", info[0]).core->max_context);
}

// (engine) => Promise<void>
Napi::Value engine_reset_prefix_cache(const Napi::CallbackInfo& info) {
  const auto& core = core_argument<EngineCore>("resetPrefixCache", info[0]);
  return AddonData::get(info.Env()).submit(info.Env(), info[0].As<Napi::Object>(), JobKind::light, [core]() -> Result {
    core->reset_prefix_cache();
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

// (engine) => Promise<void>
Napi::Value engine_dispose(const Napi::CallbackInfo& info) {
  return dispose_handle<EngineCore>("engine.dispose", info);
}

}  // namespace ajet::binding
