// A tree in segments, joined by a PathCache: the hidden states of the whole tree to the bit, and its gradients.
#include "model/path_cache.h"

#include "model_fixtures.h"
#include "tree_passes.h"

namespace ajet::test {

TEST("path cache: a tree in segments equals the whole tree, in every family") {
  for (const std::string family : {"qwen2", "qwen3", "llama"}) {
    const ModelConfig config = tiny_config(family);
    const auto model = random_model(config, 3);
    PathCache cache;  // one for all: larger trees, then smaller ones
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      const TreeBatch batch = TreeBatch::random(seed, config);
      const TreeResults whole = run_whole(*model, batch);
      for (const int64_t rows_each : {int64_t{1}, int64_t{7}, batch.tree.rows() / 2, batch.tree.rows() - 1}) {
        const TreeResults cut = run_segments(*model, batch, rows_each, cache);
        CHECK(cut.hidden == whole.hidden);
        for (size_t s = 0; s < whole.gradients.size(); ++s) {
          const double error = relative_error(cut.gradients[s], whole.gradients[s]);
          const std::string& name = model->weights().layout().slices[s].hf_name;
          if (!(error <= 1e-5)) fail_at(__FILE__, __LINE__, family, ": ", name, " is off by ", error);
        }
      }
    }
  }
}

TEST("path cache: segments out of order are refused") {
  const ModelConfig config = tiny_config("qwen3");
  const auto model = random_model(config, 1);
  const TreeBatch batch = TreeBatch::random(1, config);
  const int64_t rows = batch.tree.rows();
  const RandomTree head = batch.tree.segment(0, 4), tail = batch.tree.segment(4, rows);
  PathCache cache;
  TreePasses passes{*model, batch};
  CHECK_ERROR(passes.forward(tail, false), "a `cache` of 4 context tokens but received none");
  passes.cache = &cache;
  CHECK_ERROR(passes.forward(head, false), "a segment of 0 rows");
  cache.start(*model->backend(), config, rows, true);
  CHECK_ERROR(passes.forward(tail, false), "after 0 that are computed");
  passes.forward(head, true);
  CHECK_ERROR(passes.backward(head), "a segment that ends at row " + std::to_string(rows));
  passes.forward(tail, true);
  passes.backward(tail);
  passes.forward(tail, true);
  CHECK_ERROR(passes.backward(tail), "a segment that ends at row 4");
  cache.start(*model->backend(), config, rows, false);
  passes.forward(head, false);
  passes.forward(tail, true);
  CHECK_ERROR(passes.backward(tail), "a segment that ends at row -1");
}

}  // namespace ajet::test
