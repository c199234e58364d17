// Decode passes as CUDA graphs: the same bits as without, whatever moves between them.
#include "cuda_emulator/runtime.h"
#include "engine_fixture.h"

namespace ajet {
namespace {

using namespace test;

EngineConfig with_graphs(bool recorded) {
  EngineConfig config = small_cache(200);
  config.recorded = recorded;
  return config;
}

// Decoding sequences from 6 down to 1, and prompts that come while others decode.
std::vector<Request> requests_of_all_lengths() {
  std::vector<Request> requests;
  for (uint64_t id = 0; id < 6; ++id) {
    requests.push_back(
        make_request(id, random_tokens(id, 5 + 9 * static_cast<int32_t>(id)), 8 + 5 * static_cast<int32_t>(id), id));
    requests.back().sampling.temperature = id % 2 == 0 ? 1.0F : 0.0F;
    if (id == 3) requests.back().sampling.top_p = 0.7F;
  }
  return requests;
}

TEST("engine, graphs: the same bits as without, with one graph for each number of sequences") {
  const auto model = tiny_model();
  const auto requests = requests_of_all_lengths();
  const emulator::GraphCounts before = emulator::graph_counts();
  Engine plain(model, with_graphs(false));
  const Outcomes expected = run(plain, requests);
  CHECK_EQ(emulator::graph_counts().launched, before.launched);
  Engine engine(model, with_graphs(true));
  for (int round = 0; round < 2; ++round) check_same(run(engine, requests), expected);
  const emulator::GraphCounts after = emulator::graph_counts();
  CHECK_LE(size_t{40}, after.launched - before.launched);
  CHECK_LE(after.instantiated - before.instantiated, size_t{6 + 2});  // memory grows twice at the beginning
  check_all_blocks_return(engine);
}

// However far the card has got when the host goes on: it may have done all, or nothing, of what is queued.
struct Progress {
  explicit Progress(uint64_t seed) { emulator::set_progress(seed); }
  ~Progress() { emulator::set_progress(0); }
};

TEST("engine, graphs: nothing is overwritten before the card has read it") {
  const auto model = tiny_model();
  const auto requests = requests_of_all_lengths();
  Engine plain(model, with_graphs(false));
  const Outcomes expected = run(plain, requests);
  for (const uint64_t seed : {1, 2}) {
    const Progress progress(seed);
    Engine engine(model, with_graphs(true));
    check_same(run(engine, requests), expected);
  }
}

TEST("engine, graphs: two engines over one model, and one in the place of another") {
  const auto model = tiny_model();
  const auto requests = requests_of_all_lengths();
  Engine plain(model, with_graphs(false));
  const Outcomes expected = run(plain, requests);
  Engine kept(model, with_graphs(true));
  for (int round = 0; round < 2; ++round) {
    Engine replaced(model, with_graphs(true));
    for (const Request& request : requests) {
      kept.submit(request);
      replaced.submit(request);
    }
    Outcomes by_kept, by_replaced;
    while (kept.has_work() || replaced.has_work()) {
      step(kept, by_kept);
      step(replaced, by_replaced);
    }
    check_same(by_kept, expected);
    check_same(by_replaced, expected);
  }
}

TEST("engine, graphs: other weights in the same place, and a longer context") {
  const auto model = tiny_model();
  Engine plain(model, with_graphs(false)), engine(model, with_graphs(true));
  const Request request = make_request(1, random_tokens(1, 30), 25);
  for (uint64_t seed = 1; seed < 4; ++seed) {
    model->weights().copy_from(sibling(*model, seed)->weights());
    model->weights_changed();
    check_same(run_one(engine, request), run_one(plain, request));
  }
  const Request longer = make_request(2, random_tokens(2, 440), 30);
  check_same(run_one(engine, longer), run_one(plain, longer));
}

}  // namespace
}  // namespace ajet
