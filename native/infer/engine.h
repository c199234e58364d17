// Continuous batching over paged KV with a prefix tree. Knows token ids, nothing of text.
// Used from one thread (the device thread).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "infer/engine_config.h"
#include "infer/request.h"
#include "model/model.h"

namespace ajet {

struct EngineStats {
  uint64_t prompt_tokens = 0;      // submitted
  uint64_t prefix_hit_tokens = 0;  // found in the prefix tree
  uint64_t prefill_tokens = 0;     // computed
  uint64_t generated_tokens = 0;
  uint64_t preemptions = 0;
  int64_t waiting = 0, running = 0;
  int64_t free_blocks = 0, total_blocks = 0;
};

class Engine {
 public:
  Engine(std::shared_ptr<Model> model, const EngineConfig& config);
  ~Engine();

  // Throws invalid_argument where the request can never run: empty prompt, token id out of range,
  // prompt + 1 > max_context, or more blocks than the cache has. max_tokens is cut to the context.
  void submit(Request request);
  // Ends the request's choices, or one of them, with FinishReason::cancelled and frees their blocks. No-op where the
  // request or the choice has ended.
  void cancel(uint64_t id, std::optional<int32_t> choice = std::nullopt);
  void cancel_all();
  bool has_work() const;

  // Waits for one forward pass (prefill chunks and decode tokens together) with one draw per row that is due, and
  // appends what happened to `events`. Drops cached KV first when the model's version moved; sequences in flight are
  // then computed again from their tokens. Where it throws (numeric: NaN or infinite logits), nothing was drawn, cached
  // KV is dropped, and the requests stay live: step again, or cancel_all().
  //
  // Pipelined, it leaves the next pass under way: requests submitted since take part in the one after that, and tokens
  // drawn before an update of the weights may arrive after it, with the version that they were drawn under.
  //
  // Nothing happens while another process writes the weights, and what was computed from weights that it has written
  // meanwhile is dropped: step again. Throws writer_gone where it was killed while it wrote them.
  void step(std::vector<TokenEvent>& events);

  void reset_prefix_cache();
  EngineStats stats() const;
  const EngineConfig& config() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ajet
