#include "infer/engine.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "infer/kv_memory.h"
#include "infer/pipeline.h"
#include "infer/scheduler.h"
#include "model/weights_access.h"

namespace ajet {
namespace {

// After the sequence's last known token.
FinishReason finish_reason(const Sequence& sequence) {
  const auto& stops = sequence.sampling.stop_token_ids;
  if (std::find(stops.begin(), stops.end(), sequence.tokens.back()) != stops.end()) return FinishReason::stop;
  return sequence.known() - sequence.prompt_tokens == sequence.sampling.max_tokens ? FinishReason::length
                                                                                   : FinishReason::none;
}

}  // namespace

struct Engine::State {
  State(std::shared_ptr<Model> shared_model, const EngineConfig& requested);

  void check_fits(int64_t prompt, int32_t max_tokens) const;
  bool cached_kv_is_stale() const { return !kv_memory.held() || model->version() != version; }
  void drop_stale_kv();
  bool launch();
  void compute();
  void apply(std::vector<TokenEvent>& events);
  void end_choice(uint64_t request);
  void drop_computed();

  std::shared_ptr<Model> model;
  EngineConfig config;
  Scheduler scheduler;
  uint64_t version;  // of the weights that the cached KV was computed under
  uint64_t arrivals = 0;
  std::unordered_map<uint64_t, int32_t> live;  // request -> choices that have not ended
  std::vector<TokenEvent> cancelled;           // reported by the next step
  EngineStats stats;

  KvMemory kv_memory;
  KvCache cache;
  Schedule schedule;  // of the pass that was launched last; reused
  Pipeline pipeline;
};

Engine::State::State(std::shared_ptr<Model> shared_model, const EngineConfig& requested)
    : model(std::move(shared_model)),
      config(resolve(requested, model->config(), *model->backend())),
      scheduler(config.kv_blocks, config.max_sequences, config.max_batch_tokens),
      version(model->version()),
      kv_memory(model, engine_bytes(config, model->config(), *model->backend()).kv_cache),
      pipeline(model, config) {
  config.pipelined = model->attached() == nullptr && config.pipelined.value_or(model->backend()->is_asynchronous());
  const ModelConfig& shape = model->config();
  cache = {kv_memory.reclaim(), model->backend()->compute_dtype(), config.kv_blocks, shape.layers, shape.kv_heads,
           shape.head_dim};
}

// KV of earlier weights, or KV whose memory a trainer has had.
void Engine::State::drop_stale_kv() {
  cache.data = kv_memory.reclaim();
  scheduler.recompute_all();
  version = model->version();
}

// Queues the next pass. False where there is none before those in flight have ended.
bool Engine::State::launch() {
  scheduler.schedule(schedule);
  if (schedule.runs.empty()) return false;
  pipeline.launch(schedule, cache, version);
  for (const ScheduledRun& run : schedule.runs) scheduler.advance(run);
  return true;
}

// Waits for the oldest pass, behind which the next one is queued first where the engine is pipelined.
void Engine::State::compute() {
  if (cached_kv_is_stale() && pipeline.in_flight() == 0) drop_stale_kv();
  if (pipeline.in_flight() == 0 && !launch())
    fail(ErrorCode::internal, "[engine.step] Expected a sequence to run but none could");
  if (*config.pipelined && !cached_kv_is_stale()) launch();
  pipeline.wait();
}

void Engine::State::apply(std::vector<TokenEvent>& events) {
  bool any_finished = false;
  for (Drawn& drawn : pipeline.take()) {
    Sequence& sequence = *drawn.sequence;
    TokenEvent& event = drawn.event;
    ++stats.generated_tokens;
    sequence.arrive(event.token);
    event.cached_tokens = sequence.cached_tokens;
    event.finish = finish_reason(sequence);
    if (event.finish != FinishReason::none) {
      pipeline.forget(event.request, event.choice);
      scheduler.finish(sequence);
      end_choice(event.request);
      any_finished = true;
    }
    events.push_back(std::move(event));
  }
  if (any_finished) scheduler.remove_finished();
}

// What has reached the cache is not known, or not wanted.
void Engine::State::drop_computed() {
  pipeline.drop();
  scheduler.recompute_all();
}

void Engine::State::end_choice(uint64_t request) {
  const auto found = live.find(request);
  if (--found->second == 0) live.erase(found);
  if (live.empty()) pipeline.drop();
}

void Engine::State::check_fits(int64_t prompt, int32_t max_tokens) const {
  const int64_t needed = blocks_for(prompt + max_tokens - 1);  // the last token's KV is never read
  if (needed <= config.kv_blocks) return;
  fail(ErrorCode::invalid_argument, "[engine.submit] prompt of " + std::to_string(prompt) +
                                        " tokens with `max_tokens` " + std::to_string(max_tokens) + " needs " +
                                        std::to_string(needed) + " blocks, the cache has " +
                                        std::to_string(config.kv_blocks) + ": raise `kv_bytes` or lower `max_tokens`");
}

Engine::Engine(std::shared_ptr<Model> model, const EngineConfig& config)
    : state_(std::make_unique<State>(std::move(model), config)) {}
Engine::~Engine() = default;

void Engine::submit(Request request) {
  validate(request, state_->model->config().vocab_size);
  if (state_->live.contains(request.id)) {
    fail(ErrorCode::invalid_argument,
         "[engine.submit] Expected an unused `id` but received " + std::to_string(request.id) + ", which is live");
  }
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int32_t max_context = state_->config.max_context;
  if (prompt + 1 > max_context) {
    fail(ErrorCode::invalid_argument, "[engine.submit] prompt of " + std::to_string(prompt) +
                                          " tokens and one more do not fit `max_context` " +
                                          std::to_string(max_context) + ": shorten the prompt or raise `max_context`");
  }
  SamplingParams& sampling = request.sampling;
  sampling.max_tokens = static_cast<int32_t>(std::min<int64_t>(sampling.max_tokens, max_context - prompt));
  state_->check_fits(prompt, sampling.max_tokens);
  for (int32_t choice = 0; choice < request.choices; ++choice) {
    auto sequence = std::make_unique<Sequence>();
    sequence->request = request.id;
    sequence->choice = choice;
    sequence->arrival = state_->arrivals++;
    sequence->sampling = sampling;
    sequence->draw_seed = draw_seed(sampling.seed, choice);
    sequence->tokens = request.prompt;
    sequence->prompt_tokens = static_cast<int32_t>(prompt);
    state_->scheduler.add(std::move(sequence));
  }
  state_->live.emplace(request.id, request.choices);
  state_->stats.prompt_tokens += static_cast<uint64_t>(prompt * request.choices);
}

void Engine::cancel(uint64_t id, std::optional<int32_t> choice) {
  std::vector<int32_t> choices;
  state_->pipeline.forget(id, choice);
  state_->scheduler.cancel(id, choice, choices);
  std::sort(choices.begin(), choices.end());
  for (const int32_t ended : choices) {
    state_->end_choice(id);
    TokenEvent& event = state_->cancelled.emplace_back();
    event.request = id;
    event.choice = ended;
    event.finish = FinishReason::cancelled;
    event.version = state_->version;
  }
}

void Engine::cancel_all() {
  std::vector<uint64_t> ids;
  for (const auto& entry : state_->live) ids.push_back(entry.first);
  std::sort(ids.begin(), ids.end());
  for (const uint64_t id : ids) cancel(id);
}

bool Engine::has_work() const { return !state_->live.empty() || !state_->cancelled.empty(); }

void Engine::step(std::vector<TokenEvent>& events) {
  State& state = *state_;
  std::move(state.cancelled.begin(), state.cancelled.end(), std::back_inserter(events));
  state.cancelled.clear();
  if (state.live.empty()) return;
  WeightsPass pass(*state.model);
  if (!pass.open()) return;
  try {
    state.compute();
  } catch (...) {
    state.drop_computed();
    if (!pass.finish()) return;
    throw;
  }
  if (!pass.finish()) return state.drop_computed();
  state.apply(events);
}

void Engine::reset_prefix_cache() { state_->scheduler.clear_prefixes(); }

EngineStats Engine::stats() const {
  const Scheduler& scheduler = state_->scheduler;
  EngineStats stats = state_->stats;
  stats.prefix_hit_tokens = scheduler.stats().prefix_hit_tokens;
  stats.prefill_tokens = scheduler.stats().prefill_tokens;
  stats.preemptions = scheduler.stats().preemptions;
  stats.waiting = static_cast<int64_t>(scheduler.waiting().size());
  stats.running = static_cast<int64_t>(scheduler.running().size());
  stats.free_blocks = scheduler.blocks().free();
  stats.total_blocks = scheduler.blocks().total();
  return stats;
}

const EngineConfig& Engine::config() const { return state_->config; }

}  // namespace ajet
