#include <algorithm>

#include "tree_attention.h"

namespace ajet::test {
namespace {

void check_against_reference(const RandomTree& tree, const AttentionShape& shape, uint64_t seed) {
  const Inputs in(seed, tree.rows(), shape);
  const Reference expected = reference(tree, shape, in);
  for (const auto& backend : backends()) {
    check_matches(*backend, run(backend, tree, shape, in), expected);
  }
}

TEST("attention_tree matches float64 for every head size") {
  for (const int64_t dim : {8, 16, 24, 32, 64, 128})
    check_against_reference(RandomTree::random(dim, 20, 20), shape_of(4, 2, dim), 10 * dim);
}

TEST("attention_tree matches float64 for every group size") {
  for (const int64_t group : {1, 2, 3, 5, 7, 8, 50})
    check_against_reference(RandomTree::random(group, 15, 15), shape_of(2 * group, 2, 16), 100 + group);
}

TEST("attention_tree matches float64 on nodes longer than every tile") {
  RandomTree tree;
  const int32_t root = tree.add(-1, 150);
  const int32_t branch = tree.add(root, 70);
  tree.add(branch, 1);
  tree.add(branch, 90);
  tree.add(root, 33);
  tree.add(-1, 5);
  check_against_reference(tree, shape_of(2, 1, 32), 7);
}

TEST("attention_tree matches float64 on a root with very many single tokens") {
  RandomTree tree;
  const int32_t root = tree.add(-1, 17);
  for (int i = 0; i < 300; ++i) tree.add(root, 1);
  check_against_reference(tree, shape_of(2, 2, 16), 8);
}

TEST("attention_tree matches float64 on a chain of a thousand nodes") {
  check_against_reference(RandomTree::chain(1000, 1), shape_of(1, 1, 8), 9);
}

TEST("attention_tree walks ten thousand nodes in a chain") {
  const RandomTree tree = RandomTree::chain(10000, 1);
  const AttentionShape shape = shape_of(1, 1, 8);
  const Inputs in(5, tree.rows(), shape);
  const auto backend = backends().front();
  if (is_slow(*backend)) return;
  for (const float value : run(backend, tree, shape, in).all()) CHECK(std::isfinite(value));
}

TEST("attention_tree reference gradients match finite differences") {
  RandomTree tree;
  const int32_t root = tree.add(-1, 2);
  tree.add(root, 2);
  tree.add(root, 1);
  const AttentionShape shape = shape_of(2, 1, 8);
  const Inputs in(77, tree.rows(), shape);
  const Doubles dout = widen(in.dout);
  const auto loss = [&](const Doubles& q, const Doubles& k, const Doubles& v) {
    const Doubles o = reference(tree, shape, q, k, v, dout).o;
    double sum = 0;
    for (size_t i = 0; i < o.size(); ++i) sum += o[i] * dout[i];
    return sum;
  };
  Doubles inputs[3] = {widen(in.q), widen(in.k), widen(in.v)};
  const Reference gradients = reference(tree, shape, in);
  const Doubles* analytic[3] = {&gradients.dq, &gradients.dk, &gradients.dv};
  for (int which = 0; which < 3; ++which) {
    Doubles numeric(inputs[which].size());
    for (size_t i = 0; i < numeric.size(); ++i) {
      constexpr double h = 1e-5;
      const double value = inputs[which][i];
      inputs[which][i] = value + h;
      const double above = loss(inputs[0], inputs[1], inputs[2]);
      inputs[which][i] = value - h;
      numeric[i] = (above - loss(inputs[0], inputs[1], inputs[2])) / (2 * h);
      inputs[which][i] = value;
    }
    CHECK_LE(relative_error(numeric, *analytic[which]), 1e-8);
  }
}

TEST("attention_tree same bits on equal backends") {
  // Large enough for several ranges of rows, cut inside nodes and between them.
  for (const int64_t kv_heads : {1, 3}) {
    const AttentionShape shape = shape_of(2 * kv_heads, kv_heads, 24);
    RandomTree tree = RandomTree::random(3, 60, 60);
    const int32_t root = tree.add(-1, 300);
    for (int i = 0; i < 6; ++i) tree.add(root, 100);
    const Inputs in(20, tree.rows(), shape);
    check_same_bits_everywhere(
        [&](const std::shared_ptr<Backend>& backend) { return run(backend, tree, shape, in).all(); });
  }
}

TEST("attention_tree large tree cut into ranges matches float64") {
  RandomTree tree;
  const int32_t root = tree.add(-1, 200);
  for (int i = 0; i < 10; ++i) tree.add(tree.add(root, 60), 40 + i);
  check_against_reference(tree, shape_of(2, 1, 8), 30);
}

TEST("attention_tree row does not depend on its siblings or the node borders") {
  const AttentionShape shape = shape_of(4, 2, 32);
  const int64_t dim = shape.head_dim, cols = shape.heads * dim, kv_cols = shape.kv_heads * dim;
  const RandomTree tree = RandomTree::random(4, 40, 30);
  const Inputs in(40, tree.rows(), shape);
  for (const auto& backend : backends()) {
    const Outputs merged = run(backend, tree, shape, in);
    for (const int32_t leaf : tree.leaf_rows()) {
      const std::vector<int32_t> path = tree.path(leaf);
      const int64_t length = static_cast<int64_t>(path.size());
      RandomTree alone;
      alone.add(-1, static_cast<int32_t>(length));
      Inputs part(0, length, shape);
      for (int64_t p = 0; p < length; ++p) {
        std::copy_n(&in.q[path[p] * cols], cols, &part.q[p * cols]);
        std::copy_n(&in.k[path[p] * kv_cols], kv_cols, &part.k[p * kv_cols]);
        std::copy_n(&in.v[path[p] * kv_cols], kv_cols, &part.v[p * kv_cols]);
      }
      const Outputs single = run(backend, alone, shape, part);
      for (int64_t p = 0; p < length; ++p) {
        CHECK(std::equal(&single.o[p * cols], &single.o[p * cols] + cols, &merged.o[path[p] * cols]));
        CHECK(std::equal(&single.lse[p * shape.heads], &single.lse[p * shape.heads] + shape.heads,
                         &merged.lse[path[p] * shape.heads]));
      }
    }
  }
}

TEST("attention_tree has the same bits for rows of every alignment") {
  const RandomTree tree = RandomTree::random(2, 10, 40);
  const int64_t rows = tree.rows();
  for (const int64_t dim : {32, 96, 128}) {
    const AttentionShape shape = shape_of(4, 2, dim);
    const int64_t cols = shape.heads * dim, kv_cols = shape.kv_heads * dim;
    const Inputs in(60, rows, shape);
    for (const auto& backend : backends()) {
      const auto outputs = [&](int64_t gap) {
        const auto matrix = [&](int64_t width, const Floats& values) {
          return ComputeMatrix(*backend, Matrix(rows, width, values), gap);
        };
        const Floats zeros(static_cast<size_t>(rows * cols)), kv_zeros(static_cast<size_t>(rows * kv_cols));
        const ComputeMatrix q = matrix(cols, in.q), k = matrix(kv_cols, in.k), v = matrix(kv_cols, in.v),
                            dout = matrix(cols, in.dout), o = matrix(cols, zeros), dq = matrix(cols, zeros),
                            dk = matrix(kv_cols, kv_zeros), dv = matrix(kv_cols, kv_zeros);
        const DeviceMatrix lse(*backend, rows, shape.heads);
        backend->attention_tree(o, lse, q, k, v, tree.layout(), shape);
        backend->attention_tree_backward(dq, dk, dv, dout, o, lse, q, k, v, tree.layout(), shape, false);
        return Outputs{o.values(), lse.values(), dq.values(), dk.values(), dv.values()}.all();
      };
      const Floats aligned = outputs(0);
      CHECK(same_bits(outputs(16), aligned));
      CHECK(same_bits(outputs(3), aligned));
    }
  }
}

TEST("attention_tree stays finite with large scores") {
  const AttentionShape shape = shape_of(2, 1, 16);
  const RandomTree tree = RandomTree::random(6, 20, 20);
  Inputs in(50, tree.rows(), shape);
  for (float& value : in.q) value *= 1000;
  for (const auto& backend : backends())
    for (const float value : run(backend, tree, shape, in).all()) CHECK(std::isfinite(value));
}

}  // namespace
}  // namespace ajet::test
