#include <algorithm>

#include "backend_fixture.h"
#include "random_tree.h"

namespace ajet::test {
namespace {

// One layer's q, k, v by row of a tree, on the host; the paged batches take rows from here.
struct TreeRows {
  AttentionShape shape;
  RandomTree tree;
  Floats q, k, v;

  TreeRows(uint64_t seed, const AttentionShape& attention_shape, RandomTree token_tree)
      : shape(attention_shape), tree(std::move(token_tree)) {
    q = random_floats(seed, tree.rows() * cols(), 1.5);
    k = random_floats(seed + 1, tree.rows() * kv_cols());
    v = random_floats(seed + 2, tree.rows() * kv_cols());
  }
  int64_t cols() const { return shape.heads * shape.head_dim; }
  int64_t kv_cols() const { return shape.kv_heads * shape.head_dim; }

  Floats tree_outputs(const std::shared_ptr<Backend>& backend) const {
    const ComputeMatrix device_q(*backend, tree.rows(), cols(), q), device_k(*backend, tree.rows(), kv_cols(), k),
        device_v(*backend, tree.rows(), kv_cols(), v), o(*backend, tree.rows(), cols());
    const DeviceMatrix lse(*backend, tree.rows(), shape.heads);
    backend->attention_tree(o, lse, device_q, device_k, device_v, tree.layout(), shape);
    return o.values();
  }
};

TreeRows example(uint64_t seed, int64_t head_dim, int64_t heads = 4, int64_t kv_heads = 2) {
  const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)));
  return {seed, {heads, kv_heads, head_dim, scale}, RandomTree::random(seed, 12, 40)};
}

constexpr int64_t layers = 2;

// A sequence of tree rows and how far it has been computed.
struct Sequence {
  std::vector<int32_t> path;
  std::vector<int32_t> blocks;
  int64_t done = 0;
};

// Runs sequences through the paged ops; rows of both layers are the tree's, so layer 0 is a decoy.
class PagedRun {
 public:
  PagedRun(const std::shared_ptr<Backend>& backend, const TreeRows& rows, int64_t blocks)
      : backend_(backend), rows_(rows), outputs_(rows.tree.rows() * rows.cols()), seen_(rows.tree.rows()) {
    const size_t bytes = backend->kv_cache_bytes(blocks, layers, rows.shape.kv_heads, rows.shape.head_dim);
    buffer_ = backend->allocate(bytes);
    // Blocks in use again hold what their last sequence left, whatever that was.
    const std::vector<uint8_t> stale(bytes, 0xFF);  // NaN in every type
    backend->upload(buffer_.data(), stale.data(), bytes);
    cache_ = {buffer_.data(), backend->compute_dtype(), blocks, layers, rows.shape.kv_heads, rows.shape.head_dim};
  }

  int32_t take_block() { return (7 * next_block_++ + 3) % static_cast<int32_t>(cache_.blocks); }  // scattered

  // Computes the next counts[i] tokens of each sequence in one pass.
  void step(const std::vector<Sequence*>& sequences, const std::vector<int64_t>& counts) {
    std::vector<int32_t> row_offsets{0}, starts, block_offsets{0}, table, positions, tree_rows;
    for (size_t s = 0; s < sequences.size(); ++s) {
      Sequence& sequence = *sequences[s];
      starts.push_back(static_cast<int32_t>(sequence.done));
      for (int64_t i = 0; i < counts[s]; ++i, ++sequence.done) {
        if (sequence.done % kv_block_tokens == 0) sequence.blocks.push_back(take_block());
        positions.push_back(static_cast<int32_t>(sequence.done));
        tree_rows.push_back(sequence.path[sequence.done]);
      }
      table.insert(table.end(), sequence.blocks.begin(), sequence.blocks.end());
      row_offsets.push_back(static_cast<int32_t>(positions.size()));
      block_offsets.push_back(static_cast<int32_t>(table.size()));
    }
    attend({row_offsets, starts, block_offsets, table, positions}, tree_rows);
  }

  void copy_block(int32_t to, int32_t from, int64_t tokens) { backend_->kv_copy_block(cache_, to, from, tokens); }

  // Outputs by tree row; a row computed twice must have come out the same.
  const Floats& outputs() const { return outputs_; }
  bool repeatable() const { return repeatable_; }

 private:
  void attend(const PagedLayout& layout, const std::vector<int32_t>& tree_rows) {
    const int64_t count = static_cast<int64_t>(tree_rows.size()), cols = rows_.cols();
    const ComputeMatrix q = take(rows_.q, cols, tree_rows), k = take(rows_.k, rows_.kv_cols(), tree_rows),
                        v = take(rows_.v, rows_.kv_cols(), tree_rows), o(*backend_, count, cols);
    backend_->kv_write(cache_, 0, q.tensor().slice_cols(0, rows_.kv_cols()), k, layout);
    backend_->kv_write(cache_, 1, k, v, layout);
    backend_->attention_paged(o, q, cache_, 1, layout, rows_.shape);
    const Floats values = o.values();
    for (int64_t i = 0; i < count; ++i) {
      float* target = &outputs_[tree_rows[i] * cols];
      if (seen_[tree_rows[i]])
        repeatable_ = repeatable_ && std::memcmp(target, &values[i * cols], cols * sizeof(float)) == 0;
      std::copy_n(&values[i * cols], cols, target);
      seen_[tree_rows[i]] = true;
    }
  }
  ComputeMatrix take(const Floats& values, int64_t cols, const std::vector<int32_t>& tree_rows) const {
    Floats taken;
    for (const int32_t row : tree_rows)
      taken.insert(taken.end(), values.begin() + row * cols, values.begin() + (row + 1) * cols);
    return {*backend_, static_cast<int64_t>(tree_rows.size()), cols, taken};
  }

  std::shared_ptr<Backend> backend_;
  const TreeRows& rows_;
  Buffer buffer_;
  KvCache cache_;
  Floats outputs_;
  std::vector<bool> seen_;
  bool repeatable_ = true;
  int32_t next_block_ = 0;
};

std::vector<Sequence> leaf_sequences(const RandomTree& tree) {
  std::vector<Sequence> sequences;
  for (const int32_t leaf : tree.leaf_rows()) sequences.push_back({tree.path(leaf), {}, 0});
  return sequences;
}

// Blocks for all sequences without sharing; a multiple of 7 plus 1, so that take_block() never repeats.
int64_t block_count(const std::vector<Sequence>& sequences) {
  int64_t blocks = 0;
  for (const Sequence& s : sequences) blocks += static_cast<int64_t>(s.path.size()) / kv_block_tokens + 2;
  return 7 * (blocks / 7 + 1) + 1;
}

enum class Schedule { whole, one_token, random_chunks };

Floats paged_outputs(const std::shared_ptr<Backend>& backend, const TreeRows& rows, Schedule schedule, uint64_t seed) {
  std::vector<Sequence> sequences = leaf_sequences(rows.tree);
  PagedRun run(backend, rows, block_count(sequences));
  for (uint64_t pass = 0;; ++pass) {
    std::vector<Sequence*> active;
    std::vector<int64_t> counts;
    for (size_t s = 0; s < sequences.size(); ++s) {
      const int64_t left = static_cast<int64_t>(sequences[s].path.size()) - sequences[s].done;
      const double draw = uniform_double(seed, pass, s);
      const int64_t chunk = schedule == Schedule::whole       ? left
                            : schedule == Schedule::one_token ? 1
                            : draw < 0.3                      ? 0
                            : draw < 0.6                      ? 1
                                                              : 1 + static_cast<int64_t>(draw * 40);
      if (std::min(left, chunk) == 0) continue;
      active.push_back(&sequences[s]);
      counts.push_back(std::min(left, chunk));
    }
    const bool finished =
        std::ranges::all_of(sequences, [](const Sequence& s) { return s.done == static_cast<int64_t>(s.path.size()); });
    if (finished) break;
    if (!active.empty()) run.step(active, counts);
  }
  CHECK(run.repeatable());
  return run.outputs();
}

TEST("attention_paged has the bits of attention_tree, however the prompt is cut") {
  for (const auto& backend : backends()) {
    const bool slow = is_slow(*backend);
    for (const int64_t head_dim : slow ? std::vector<int64_t>{24, 64} : std::vector<int64_t>{8, 16, 24, 64, 128}) {
      const TreeRows rows = example(static_cast<uint64_t>(head_dim), head_dim);
      const Floats expected = rows.tree_outputs(backend);
      CHECK(same_bits(paged_outputs(backend, rows, Schedule::whole, 0), expected));
      CHECK(same_bits(paged_outputs(backend, rows, Schedule::one_token, 0), expected));
      for (uint64_t seed = 1; seed <= (slow ? 1 : 3); ++seed)
        CHECK(same_bits(paged_outputs(backend, rows, Schedule::random_chunks, seed), expected));
    }
  }
}

TEST("attention_paged has the bits of attention_tree for every group of heads") {
  const auto backend = backends().front();
  for (const int64_t group : {1, 3, 6, 7, 16}) {
    const TreeRows rows = example(static_cast<uint64_t>(group), 32, group, 1);
    CHECK(same_bits(paged_outputs(backend, rows, Schedule::random_chunks, 9), rows.tree_outputs(backend)));
  }
}

TEST("attention_paged same bits on equal backends") {
  const TreeRows rows = example(5, 40);
  check_same_bits_everywhere([&](const std::shared_ptr<Backend>& backend) {
    return paged_outputs(backend, rows, Schedule::random_chunks, 4);
  });
}

TEST("attention_paged after a copy on write has the bits of attention_tree") {
  // The prompt ends inside a block: each branch shares the full blocks and copies the used part of the last.
  constexpr int32_t prompt = 37;
  RandomTree tree;
  const int32_t root = tree.add(-1, prompt);
  for (int i = 0; i < 3; ++i) tree.add(root, 20 + i);
  const TreeRows rows(11, {4, 2, 24, 0.2F}, tree);
  for (const auto& backend : backends()) {
    PagedRun run(backend, rows, 43);
    std::vector<Sequence> branches = leaf_sequences(tree);
    run.step({&branches[0]}, {prompt});
    const int32_t last = branches[0].blocks.back();
    for (size_t i = 1; i < branches.size(); ++i) {
      branches[i].blocks = branches[0].blocks;
      branches[i].blocks.back() = run.take_block();
      branches[i].done = prompt;
      run.copy_block(branches[i].blocks.back(), last, prompt % kv_block_tokens);
    }
    for (int t = 0; t < 20; ++t) run.step({&branches[2], &branches[0], &branches[1]}, {1, 1, 1});
    run.step({&branches[1], &branches[2]}, {1, 2});
    CHECK(same_bits(run.outputs(), rows.tree_outputs(backend)));
  }
}

}  // namespace
}  // namespace ajet::test
