#include "binding/engine_core.h"

#include <utility>

#include "binding/typed_arrays.h"

namespace ajet::binding {
namespace {

// All choices of a request as flat arrays: NativeCompletions in src/native/addon-types.ts.
Napi::Value completions_to_js(Napi::Env env, const std::vector<ChoiceTokens>& choices) {
  std::vector<int32_t> offsets{0}, tokens, top_tokens;
  std::vector<float> logprobs, top_logprobs;
  std::vector<uint8_t> finishes;
  std::vector<int32_t> cached_tokens;
  std::vector<double> first_versions, last_versions;
  const auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  for (const ChoiceTokens& choice : choices) {
    append(tokens, choice.tokens);
    append(logprobs, choice.logprobs);
    append(top_tokens, choice.top_tokens);
    append(top_logprobs, choice.top_logprobs);
    offsets.push_back(static_cast<int32_t>(tokens.size()));
    finishes.push_back(static_cast<uint8_t>(choice.finish));
    cached_tokens.push_back(choice.cached_tokens);
    first_versions.push_back(static_cast<double>(choice.first_version));
    last_versions.push_back(static_cast<double>(choice.last_version));
  }
  const Napi::Object out = Napi::Object::New(env);
  out.Set("offsets", to_js(env, offsets));
  out.Set("tokens", to_js(env, tokens));
  out.Set("logprobs", to_js(env, logprobs));
  out.Set("finishes", to_js(env, finishes));
  out.Set("cachedTokens", to_js(env, cached_tokens));
  out.Set("firstVersions", to_js(env, first_versions));
  out.Set("lastVersions", to_js(env, last_versions));
  out.Set("topTokens", to_js(env, top_tokens));
  out.Set("topLogprobs", to_js(env, top_logprobs));
  return out;
}

void append_event(TokenBatch& batch, const TokenEvent& event) {
  if (batch.top_offset.empty()) batch.top_offset.push_back(0);
  batch.request.push_back(static_cast<double>(event.request));
  batch.choice.push_back(event.choice);
  batch.token.push_back(event.token);
  batch.logprob.push_back(event.logprob);
  batch.finish.push_back(static_cast<uint8_t>(event.finish));
  batch.version.push_back(static_cast<double>(event.version));
  batch.top_token.insert(batch.top_token.end(), event.top_tokens.begin(), event.top_tokens.end());
  batch.top_logprob.insert(batch.top_logprob.end(), event.top_logprobs.begin(), event.top_logprobs.end());
  batch.top_offset.push_back(static_cast<int32_t>(batch.top_token.size()));
}

void append_token(ChoiceTokens& choice, const TokenEvent& event) {
  if (choice.tokens.empty()) choice.first_version = event.version;
  if (choice.tokens.empty() || event.token >= 0) choice.last_version = event.version;
  if (event.token >= 0) {
    choice.cached_tokens = event.cached_tokens;
    choice.tokens.push_back(event.token);
    choice.logprobs.push_back(event.logprob);
    choice.top_tokens.insert(choice.top_tokens.end(), event.top_tokens.begin(), event.top_tokens.end());
    choice.top_logprobs.insert(choice.top_logprobs.end(), event.top_logprobs.begin(), event.top_logprobs.end());
  }
  choice.finish = event.finish;
}

std::exception_ptr error_of(ErrorCode code, const char* message) {
  return std::make_exception_ptr(Error(code, message));
}

}  // namespace

void EngineCore::open(std::shared_ptr<Model> model, const EngineConfig& config) {
  engine_ = std::make_unique<Engine>(std::move(model), config);
  max_context = engine_->config().max_context;
  publish_stats();
}

Engine& EngineCore::open_engine() const {
  if (!engine_) fail(ErrorCode::disposed, "[engine] The engine was disposed of");
  return *engine_;
}

void EngineCore::submit(DeviceThread& device, Request request, uint64_t promise, bool streaming) {
  Engine& engine = open_engine();
  const uint64_t id = request.id;
  if (requests_.contains(id)) fail(ErrorCode::invalid_argument, "[generate] The request id is in use");
  PendingRequest pending{promise, streaming, request.choices, {}};
  pending.choices.resize(static_cast<size_t>(request.choices));
  engine.submit(std::move(request));
  requests_.emplace(id, std::move(pending));
  publish_stats();
  device.activate(shared_from_this());
}

void EngineCore::cancel(uint64_t request, std::optional<int32_t> choice) {
  if (engine_) engine_->cancel(request, choice);
}

void EngineCore::cancel_all() { open_engine().cancel_all(); }

void EngineCore::reset_prefix_cache() {
  open_engine().reset_prefix_cache();
  publish_stats();
}

EngineStats EngineCore::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

void EngineCore::publish_stats() {
  const EngineStats now = engine_->stats();
  const std::lock_guard lock(stats_mutex_);
  stats_ = now;
}

bool EngineCore::step(DeviceThread& device) {
  if (!engine_) return false;
  events_.clear();
  try {
    engine_->step(events_);
    publish_stats();
    collect(device);
    return engine_->has_work();
  } catch (...) {
    reject_all(device, std::current_exception());
  }
  try {  // the requests are rejected; the engine must forget them, or it cannot go on
    engine_->cancel_all();
    engine_->step(events_);
    publish_stats();
    if (!engine_->has_work()) return false;
  } catch (...) {
  }
  engine_.reset();
  return false;
}

void EngineCore::collect(DeviceThread& device) {
  TokenBatch streamed;
  std::vector<uint64_t> ended;
  for (const TokenEvent& event : events_) {
    const auto found = requests_.find(event.request);
    if (found == requests_.end()) continue;
    PendingRequest& request = found->second;
    if (request.streaming) {
      append_event(streamed, event);
      streamed.promise = request.promise;
    }
    append_token(request.choices[static_cast<size_t>(event.choice)], event);
    if (event.finish != FinishReason::none && --request.unfinished == 0) ended.push_back(event.request);
  }
  if (!streamed.request.empty()) device.deliver(std::move(streamed));
  for (const uint64_t id : ended) {
    auto node = requests_.extract(id);
    PendingRequest& request = node.mapped();
    bool failed = false;
    for (const ChoiceTokens& choice : request.choices) failed = failed || choice.finish == FinishReason::error;
    if (failed) {
      device.settle_error(request.promise,
                          error_of(ErrorCode::numeric, "[generate] The model's logits are not finite"));
      continue;
    }
    device.settle(request.promise,
                  [choices = std::move(request.choices)](Napi::Env env) { return completions_to_js(env, choices); });
  }
}

void EngineCore::reject_all(DeviceThread& device, const std::exception_ptr& error) {
  for (const auto& [id, request] : requests_) device.settle_error(request.promise, error);
  requests_.clear();
}

void EngineCore::dispose(DeviceThread& device) {
  reject_all(device, error_of(ErrorCode::disposed, "[generate] The engine was disposed of before the request ended"));
  engine_.reset();
}

}  // namespace ajet::binding
