// Forward passes in flight: queued on the device, and what they draw fetched later, oldest first. While one runs, the
// host may schedule and queue the next, which reads its input tokens where the first one draws them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "infer/engine_config.h"
#include "infer/paged_batch.h"
#include "infer/sampler.h"
#include "infer/scheduler.h"

namespace ajet {

// A sequence's next token, as a pass has drawn it. `event` lacks what follows from the sequence.
struct Drawn {
  Sequence* sequence;
  TokenEvent event;
};

class Pipeline {
 public:
  // The config's sizes are resolved.
  Pipeline(std::shared_ptr<Model> model, const EngineConfig& config);

  static constexpr size_t max_in_flight = 2;
  size_t in_flight() const { return in_flight_; }

  // Queues the schedule's copies, one forward pass over its rows and one draw for each row that is due. `version` is
  // that of the weights. Call Scheduler::advance() afterwards.
  void launch(const Schedule& schedule, const KvCache& cache, uint64_t version);
  // Waits for the oldest pass. Throws numeric where a sequence's logits were NaN or infinite; nothing was drawn then.
  void wait();
  // What the oldest pass has drawn, after wait(), in the order of its rows; it is no longer in flight.
  std::vector<Drawn> take();

  // Choices that have ended: what is being drawn for them is dropped.
  void forget(uint64_t request, std::optional<int32_t> choice);
  // Forgets all passes.
  void drop();

 private:
  struct Due {
    Sequence* sequence;  // null: forgotten
    int32_t top_logprobs;
  };
  struct Pass {
    std::vector<Due> due;
    uint64_t version = 0;
    std::unique_ptr<Readback> readback;
    const TokenLogprob* drawn = nullptr;  // after wait(), as Sampler::drawn()
  };
  Pass& oldest() { return passes_[first_]; }

  std::shared_ptr<Model> model_;
  bool recorded_;
  Sampler sampler_;
  PagedBatch batch_;
  Buffer hidden_buffer_;
  std::array<Pass, max_in_flight> passes_;
  size_t first_ = 0, in_flight_ = 0;
};

}  // namespace ajet
