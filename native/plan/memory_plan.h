// What lies where while a model is sampled from and trained, in bytes, before any of it is allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backend/storage_format.h"
#include "infer/engine_config.h"
#include "train/pass_memory.h"
#include "train/trainer.h"

namespace ajet {

// When memory is in use. What is alive during rollouts and what is alive during updates lie in the same bytes.
enum class MemoryPhase : uint8_t { always = 0, rollout = 1, update = 2 };
enum class MemoryPlace : uint8_t { device = 0, host = 1 };

struct PlannedMemory {
  std::string name;    // "KV cache"
  std::string detail;  // "8192 tokens in 512 blocks"
  MemoryPhase phase;
  MemoryPlace place;
  size_t bytes;
};

struct MemoryPlan {
  std::vector<PlannedMemory> entries;
  int64_t kv_blocks = 0;
  size_t kv_bytes = 0;
  int32_t max_context = 0;  // that the engine will have

  size_t sum(MemoryPhase phase, MemoryPlace place = MemoryPlace::device) const;
  // The most that is in use on the device at once; what ops need for themselves comes on top.
  size_t peak() const;
};

struct MemoryDemand {
  EngineConfig engine;  // kv_blocks and kv_bytes 0: as many blocks as `budget` has room for
  std::optional<TrainerConfig> trainer;
  std::optional<PassShape> pass;  // of the trainer; absent: the largest that it makes of what the engine samples
  size_t budget = 0;
};

// The largest pass that a trainer makes over timelines of at most `max_context` tokens.
PassShape largest_pass(const ModelConfig& model, const TrainerConfig& trainer, int64_t max_context);

// Throws invalid_argument where a value is out of its range. A cache that is to fill the budget has one block at least.
MemoryPlan plan_memory(const ModelConfig& model, const StorageFormat& format, const MemoryDemand& demand);

}  // namespace ajet
