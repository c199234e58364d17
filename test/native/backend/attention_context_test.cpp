// A tree whose first rows are context computes what the same rows compute in the whole tree.
#include "tree_attention.h"

namespace ajet::test {
namespace {

// Ends of 1 to 5 segments at random rows, single rows among them.
std::vector<int64_t> random_ends(uint64_t seed, int64_t rows) {
  std::vector<int64_t> ends{rows};
  const auto draw = [&](uint64_t stream) { return uniform_double(seed, stream, 77); };
  for (uint64_t cut = 0; cut < 4; ++cut) {
    const auto end = static_cast<int64_t>(draw(cut) * static_cast<double>(rows));
    ends.push_back(end);
    if (draw(10 + cut) < 0.3) ends.push_back(end + 1);
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  if (ends.front() == 0) ends.erase(ends.begin());
  return ends;
}

void check_segments(const RandomTree& tree, const std::vector<int64_t>& ends, const AttentionShape& shape,
                    uint64_t seed) {
  const Inputs in(seed, tree.rows(), shape);
  const Reference exact = reference(tree, shape, in);
  for (const auto& backend : backends()) {
    const Outputs whole = run(backend, tree, shape, in), cut = run_segments(backend, tree, ends, shape, in);
    CHECK(same_bits(cut.o, whole.o));
    CHECK(same_bits(cut.lse, whole.lse));
    CHECK_LE(relative_error(cut.dq, whole.dq), tolerance(*backend, 1e-6));
    CHECK_LE(relative_error(cut.dk, whole.dk), tolerance(*backend, 1e-6));
    CHECK_LE(relative_error(cut.dv, whole.dv), tolerance(*backend, 1e-6));
    CHECK_LE(relative_error(cut.dk, exact.dk), tolerance(*backend, 1e-5));
    CHECK_LE(relative_error(cut.dv, exact.dv), tolerance(*backend, 1e-5));
  }
}

TEST("attention context: a tree in segments equals the whole tree") {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    const int64_t dim = std::vector<int64_t>{8, 16, 24, 64}[seed % 4];
    const RandomTree tree = RandomTree::random(seed, 25, 25);
    check_segments(tree, random_ends(seed, tree.rows()), shape_of(seed % 3 == 0 ? 6 : 4, 2, dim), 100 + seed);
  }
}

TEST("attention context: one row at a time equals the whole tree") {
  const RandomTree tree = RandomTree::random(5, 8, 12);
  std::vector<int64_t> ends;
  for (int64_t end = 1; end <= tree.rows(); ++end) ends.push_back(end);
  check_segments(tree, ends, shape_of(4, 2, 16), 3);
}

TEST("attention context: a long path cut into ranges equals the whole path") {
  // Few heads, as the emulator runs this, too: still several ranges in each segment but the first.
  const RandomTree tree = RandomTree::chain(3, 400);
  check_segments(tree, {150, 700, 1200}, shape_of(2, 1, 16), 4);
}

// One segment alone, against the definition where only its own rows have queries.
TEST("attention context: gradients are those of the queries behind it, written or added") {
  const AttentionShape shape = shape_of(4, 2, 24);
  const int64_t cols = shape.heads * shape.head_dim, kv_cols = shape.kv_heads * shape.head_dim;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const RandomTree whole = RandomTree::random(seed, 20, 20);
    const int64_t context = 1 + static_cast<int64_t>(uniform_double(seed, 0) * static_cast<double>(whole.rows() - 1));
    const RandomTree tree = whole.segment(context, whole.rows());
    const int64_t rows = tree.rows(), own = rows - context;
    Inputs in(seed, rows, shape);
    std::fill_n(in.dout.begin(), context * cols, 0.0F);
    const Reference exact = reference(tree, shape, in);
    for (const auto& backend : backends()) {
      const auto tail = [&](const Floats& x) { return Floats(x.begin() + context * cols, x.end()); };
      const ComputeMatrix q(*backend, own, cols, tail(in.q)), k(*backend, rows, kv_cols, in.k),
          v(*backend, rows, kv_cols, in.v), dout(*backend, own, cols, tail(in.dout)), o(*backend, own, cols),
          dq(*backend, own, cols);
      const DeviceMatrix lse(*backend, own, shape.heads);
      const Floats before_k = random_floats(seed + 50, rows * kv_cols);
      const Floats before_v = random_floats(seed + 51, rows * kv_cols);
      backend->attention_tree(o, lse, q, k, v, tree.layout(), shape);
      for (const bool accumulate : {false, true}) {
        const DeviceMatrix dk(*backend, rows, kv_cols, before_k), dv(*backend, rows, kv_cols, before_v);
        backend->attention_tree_backward(dq, dk, dv, dout, o, lse, q, k, v, tree.layout(), shape, accumulate);
        Doubles expected_k = exact.dk, expected_v = exact.dv;
        for (size_t i = 0; accumulate && i < expected_k.size(); ++i) {
          expected_k[i] += static_cast<double>(before_k[i]);
          expected_v[i] += static_cast<double>(before_v[i]);
        }
        const Doubles expected_q(exact.dq.begin() + context * cols, exact.dq.end());
        CHECK_LE(relative_error(dk.values(), expected_k), tolerance(*backend, 1e-5));
        CHECK_LE(relative_error(dv.values(), expected_v), tolerance(*backend, 1e-5));
        CHECK_LE(relative_error(dq.values(), expected_q), tolerance(*backend, 1e-5));
        // Rows that no query sees: exactly nothing.
        const Floats keys = dk.values(), values = dv.values();
        for (size_t i = 0; i < values.size(); ++i) {
          if (exact.dv[i] != 0.0) continue;
          CHECK_EQ(keys[i], accumulate ? before_k[i] : 0.0F);
          CHECK_EQ(values[i], accumulate ? before_v[i] : 0.0F);
        }
      }
    }
  }
}

TEST("attention context: same bits on equal backends") {
  const AttentionShape shape = shape_of(4, 2, 24);
  const int32_t length = is_slow(*backends().front()) ? 30 : 100;
  RandomTree tree = RandomTree::random(3, length / 3, length / 3);
  const int32_t root = tree.add(-1, 3 * length);
  for (int i = 0; i < 4; ++i) tree.add(root, length);
  const Inputs in(20, tree.rows(), shape);
  check_same_bits_everywhere([&](const std::shared_ptr<Backend>& backend) {
    return run_segments(backend, tree, {tree.rows() / 3, tree.rows() - 3 * length / 2, tree.rows()}, shape, in).all();
  });
}

TEST("attention context: layouts that do not fit are refused") {
  const AttentionShape shape = shape_of(2, 1, 8);
  const auto backend = backends().front();
  const ComputeMatrix q(*backend, 3, 16), k(*backend, 5, 8), v(*backend, 5, 8), o(*backend, 3, 16);
  const DeviceMatrix lse(*backend, 3, 2);
  const auto attend = [&](const RandomTree& tree) { backend->attention_tree(o, lse, q, k, v, tree.layout(), shape); };
  RandomTree tree;
  tree.add(tree.add(-1, 2), 3);
  CHECK_ERROR(attend(tree), "shape [5, 16] for `q`");
  tree.context_tokens = 2;
  attend(tree);
  for (const int64_t context : {-1, 1, 5, 6}) {
    tree.context_tokens = context;
    CHECK_ERROR(attend(tree), "a node that starts behind the context");
  }
}

}  // namespace
}  // namespace ajet::test
