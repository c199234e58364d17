// The scheduler against a cache that is simulated on the host: a position's "KV" is a hash of the tokens up to it, so
// a wrong block, a missed copy or an early eviction shows as a wrong hash.
#include "infer/scheduler.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/rng.h"
#include "check.h"

namespace ajet {
namespace {

constexpr size_t block_size = kv_block_tokens;
constexpr int32_t stop_token = 2;

uint64_t extend_hash(uint64_t hash, int32_t token) {
  return (hash ^ (static_cast<uint64_t>(token) + 0x9E3779B97F4A7C15ULL)) * 0x100000001B3ULL;
}

struct Simulation {
  Simulation(int64_t blocks, int32_t max_sequences, int32_t max_batch_tokens, bool with_pipeline = false)
      : scheduler(blocks, max_sequences, max_batch_tokens),
        pipelined(with_pipeline),
        kv(static_cast<size_t>(blocks) * block_size, 0) {}

  void add(std::vector<int32_t> prompt, int32_t max_tokens) {
    auto sequence = std::make_unique<Sequence>();
    sequence->request = sequence->arrival = next++;
    sequence->prompt_tokens = static_cast<int32_t>(prompt.size());
    sequence->tokens = std::move(prompt);
    sequence->sampling.max_tokens = max_tokens;
    scheduler.add(std::move(sequence));
  }

  uint64_t& at(const Sequence& sequence, int32_t position) {
    const auto p = static_cast<size_t>(position);
    return kv[static_cast<size_t>(sequence.blocks[p / block_size]) * block_size + p % block_size];
  }

  void compute(const ScheduledRun& run) {
    uint64_t hash = 0;
    for (int32_t p = 0; p < run.first + run.count; ++p) {
      hash = extend_hash(
          hash, p < run.sequence->known() ? run.sequence->tokens[static_cast<size_t>(p)] : draw(*run.sequence, p));
      if (p >= run.first) at(*run.sequence, p) = hash;
      if (at(*run.sequence, p) != hash)
        test::fail_at(__FILE__, __LINE__, "request ", run.sequence->request, ": wrong KV at position ", p);
    }
  }

  // Returns the rows computed. Pipelined, what they draw arrives at the end of the next step.
  int32_t step() {
    scheduler.schedule(schedule);
    CHECK(schedule.rows > 0 || !in_flight.empty() || (scheduler.running().empty() && scheduler.waiting().empty()));
    for (const BlockCopy& copy : schedule.copies) {
      for (size_t i = 0; i < static_cast<size_t>(copy.tokens); ++i)
        kv[static_cast<size_t>(copy.to) * block_size + i] = kv[static_cast<size_t>(copy.from) * block_size + i];
    }
    for (const ScheduledRun& run : schedule.runs) compute(run);
    std::vector<Sequence*> drawn;
    for (const ScheduledRun& run : schedule.runs) {
      const bool due = run.last();
      scheduler.advance(run);
      if (due) drawn.push_back(run.sequence);
    }
    if (pipelined) in_flight.swap(drawn);
    for (Sequence* sequence : drawn) {
      sequence->arrive(draw(*sequence, sequence->known()));
      if (sequence->known() - sequence->prompt_tokens < sequence->sampling.max_tokens &&
          sequence->tokens.back() != stop_token)
        continue;
      finished.push_back(sequence->request);
      std::erase(in_flight, sequence);
      scheduler.finish(*sequence);
    }
    scheduler.remove_finished();
    check_references();
    return schedule.rows;
  }

  // A small alphabet, so that completions run into each other.
  int32_t draw(const Sequence& sequence, int32_t position) const {
    const auto index = static_cast<uint64_t>(position - sequence.prompt_tokens);
    const uint32_t word = philox4x32(sequence.request % 5, index)[0];
    return word % 64 == 0 ? stop_token : static_cast<int32_t>(word % 2);
  }

  std::vector<int32_t> cancel(uint64_t request) {
    std::erase_if(in_flight, [&](const Sequence* sequence) { return sequence->request == request; });
    std::vector<int32_t> choices;
    scheduler.cancel(request, std::nullopt, choices);
    return choices;
  }

  void recompute_all() {
    in_flight.clear();
    scheduler.recompute_all();
  }

  void check_references() const {
    const KvBlocks& blocks = scheduler.blocks();
    std::map<int32_t, int32_t> held;
    for (const auto& sequence : scheduler.running()) {
      for (const int32_t block : sequence->blocks) ++held[block];
      CHECK_LE(static_cast<size_t>(sequence->computed), sequence->blocks.size() * block_size);
    }
    for (const auto& sequence : scheduler.waiting()) CHECK(sequence->blocks.empty() && sequence->computed == 0);
    int64_t free = 0, idle = 0;
    for (int32_t block = 0; block < blocks.total(); ++block) {
      const bool in_tree = scheduler.prefixes().contains(block);
      CHECK_EQ(blocks.references(block), held[block] + (in_tree ? 1 : 0));
      free += blocks.references(block) == 0;
      idle += in_tree && held[block] == 0;
    }
    CHECK_EQ(blocks.free(), free);
    CHECK_EQ(scheduler.prefixes().available(), free + idle);
  }

  void run_all() {
    for (int steps = 0; !scheduler.running().empty() || !scheduler.waiting().empty(); ++steps) {
      CHECK(steps < 100000);
      step();
    }
  }

  Scheduler scheduler;
  bool pipelined;
  Schedule schedule;
  std::vector<Sequence*> in_flight;  // whose tokens are drawn and have not arrived
  std::vector<uint64_t> kv;
  std::vector<uint64_t> finished;
  uint64_t next = 0;
};

TEST("scheduler: a chunked prefill, then decoding, fills each pass up to max_batch_tokens") {
  Simulation simulation(64, 8, 24);
  simulation.add(std::vector<int32_t>(60, 3), 4);
  std::vector<int32_t> rows;
  while (simulation.finished.empty()) rows.push_back(simulation.step());
  CHECK(rows == std::vector<int32_t>({24, 24, 12, 1, 1, 1}));
}

TEST("scheduler: equal prompts and shared prefixes are prefilled once") {
  Simulation simulation(256, 64, 512);
  std::vector<int32_t> system(100, 7);
  for (int32_t group = 0; group < 4; ++group) {
    auto prompt = system;
    for (int32_t i = 0; i < 37; ++i) prompt.push_back(100 + group);
    for (int member = 0; member < 8; ++member) simulation.add(prompt, 3);
  }
  CHECK_EQ(simulation.step(), 137);             // one of all
  CHECK_EQ(simulation.step(), 1 + 7 + 3 * 37);  // it decodes; its group's last tokens; one of each other group
  CHECK_EQ(simulation.step(), 8 + 3 + 3 * 7);
  simulation.run_all();
  CHECK_EQ(simulation.scheduler.stats().prefill_tokens, uint64_t{137 + 3 * 37 + 28});
}

TEST("scheduler: unrelated prompts do not wait for each other") {
  Simulation simulation(64, 8, 512);
  for (int32_t i = 0; i < 4; ++i) simulation.add(std::vector<int32_t>(30, i), 2);
  CHECK_EQ(simulation.step(), 120);
}

TEST("scheduler: the youngest gives way, and all end") {
  Simulation simulation(8, 4, 32);
  for (int32_t i = 0; i < 4; ++i) simulation.add(std::vector<int32_t>(20, 10 + i), 100);  // 8 blocks each
  simulation.run_all();
  CHECK_EQ(simulation.finished.size(), size_t{4});
  CHECK_EQ(simulation.finished.front(), uint64_t{0});
  CHECK(simulation.scheduler.stats().preemptions > 0);
  simulation.scheduler.clear_prefixes();
  CHECK_EQ(simulation.scheduler.blocks().free(), int64_t{8});
}

TEST("scheduler: the last block can come from the cached copy that it would be copied from") {
  Simulation simulation(4, 1, 64);
  simulation.add(std::vector<int32_t>(50, 1), 1);
  simulation.run_all();
  simulation.add(std::vector<int32_t>(60, 1), 4);  // all 4 blocks; 2 positions of the last are cached
  simulation.run_all();
  CHECK_EQ(simulation.finished.size(), size_t{2});
}

std::vector<int32_t> random_prompt(uint64_t seed) {
  // Few distinct beginnings, so that prefixes are shared at every offset.
  std::vector<int32_t> prompt(1 + philox4x32(seed, 0)[0] % 70);
  const uint32_t family = philox4x32(seed, 1)[0] % 3;
  const uint32_t fork = philox4x32(seed, 2)[0] % 70;
  for (size_t i = 0; i < prompt.size(); ++i)
    prompt[i] = static_cast<int32_t>(i < fork ? family : 3 + philox4x32(seed, 3 + i)[0] % 2);
  return prompt;
}

TEST("scheduler: random requests, cancels and resets with few blocks, with tokens that arrive late and without") {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    auto random = [&, counter = uint64_t{0}](uint32_t below) mutable {
      return static_cast<int32_t>(philox4x32(seed, counter++, 1)[0] % below);
    };
    Simulation simulation(8 + random(20), 1 + random(12), 1 + random(60), seed % 2 == 1);
    std::set<uint64_t> cancelled;
    for (int round = 0; round < 400; ++round) {
      if (random(4) == 0) simulation.add(random_prompt(seed * 1000 + static_cast<uint64_t>(round)), 1 + random(58));
      if (random(20) == 0 && simulation.next > 0) {
        const auto target = static_cast<uint64_t>(random(static_cast<uint32_t>(simulation.next)));
        if (!simulation.cancel(target).empty()) cancelled.insert(target);
      }
      if (random(60) == 0) simulation.scheduler.clear_prefixes();
      if (random(80) == 0) simulation.recompute_all();
      simulation.check_references();
      simulation.step();
    }
    simulation.run_all();
    std::sort(simulation.finished.begin(), simulation.finished.end());
    CHECK(std::adjacent_find(simulation.finished.begin(), simulation.finished.end()) == simulation.finished.end());
    for (const uint64_t id : simulation.finished) CHECK(!cancelled.contains(id));
    CHECK_EQ(simulation.finished.size() + cancelled.size(), simulation.next);
    simulation.scheduler.clear_prefixes();
    CHECK_EQ(simulation.scheduler.blocks().free(), simulation.scheduler.blocks().total());
  }
}

}  // namespace
}  // namespace ajet
