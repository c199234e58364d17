#include <algorithm>

#include "backend_fixture.h"
#include "random_tree.h"

namespace ajet::test {
namespace {

AttentionShape shape_of(int64_t heads, int64_t kv_heads, int64_t head_dim) {
  return {heads, kv_heads, head_dim, static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)))};
}

struct Inputs {
  Floats q, k, v, dout;
  Inputs(uint64_t seed, int64_t rows, const AttentionShape& shape)
      : q(random_floats(seed, rows * shape.heads * shape.head_dim, 1.5)),
        k(random_floats(seed + 1, rows * shape.kv_heads * shape.head_dim)),
        v(random_floats(seed + 2, rows * shape.kv_heads * shape.head_dim)),
        dout(random_floats(seed + 3, rows * shape.heads * shape.head_dim)) {}
};

struct Outputs {
  Floats o, lse, dq, dk, dv;
  Floats all() const {
    Floats values;
    for (const Floats* part : {&o, &lse, &dq, &dk, &dv}) append(values, *part);
    return values;
  }
};

Outputs run(const std::shared_ptr<Backend>& backend, const RandomTree& tree, const AttentionShape& shape,
            const Inputs& in) {
  const int64_t rows = tree.rows(), cols = shape.heads * shape.head_dim, kv_cols = shape.kv_heads * shape.head_dim;
  const DeviceMatrix q(*backend, rows, cols, in.q), k(*backend, rows, kv_cols, in.k), v(*backend, rows, kv_cols, in.v),
      dout(*backend, rows, cols, in.dout), o(*backend, rows, cols), lse(*backend, rows, shape.heads),
      dq(*backend, rows, cols), dk(*backend, rows, kv_cols), dv(*backend, rows, kv_cols);
  backend->attention_tree(o, lse, q, k, v, tree.layout(), shape);
  backend->attention_tree_backward(dq, dk, dv, dout, o, lse, q, k, v, tree.layout(), shape);
  return {o.values(), lse.values(), dq.values(), dk.values(), dv.values()};
}

struct Reference {
  Doubles o, lse, dq, dk, dv;
};

// Softmax attention over the path of each row, and its derivative, in float64.
Reference reference(const RandomTree& tree, const AttentionShape& shape, const Doubles& q, const Doubles& k,
                    const Doubles& v, const Doubles& dout) {
  const int64_t dim = shape.head_dim, cols = shape.heads * dim, kv_cols = shape.kv_heads * dim;
  Reference r{Doubles(q.size()), Doubles(tree.rows() * shape.heads), Doubles(q.size()), Doubles(k.size()),
              Doubles(v.size())};
  const auto dot = [&](const double* a, const double* b) {
    double sum = 0;
    for (int64_t d = 0; d < dim; ++d) sum += a[d] * b[d];
    return sum;
  };
  for (int64_t row = 0; row < tree.rows(); ++row) {
    const std::vector<int32_t> path = tree.path(row);
    for (int64_t head = 0; head < shape.heads; ++head) {
      const int64_t at = row * cols + head * dim, kv = head / (shape.heads / shape.kv_heads) * dim;
      Doubles p(path.size()), dp(path.size());
      double total = 0, mean_dp = 0;
      for (size_t j = 0; j < path.size(); ++j)
        total += p[j] = std::exp(static_cast<double>(shape.scale) * dot(&q[at], &k[path[j] * kv_cols + kv]));
      r.lse[row * shape.heads + head] = std::log(total);
      for (size_t j = 0; j < path.size(); ++j) {
        p[j] /= total;
        dp[j] = dot(&dout[at], &v[path[j] * kv_cols + kv]);
        mean_dp += p[j] * dp[j];
      }
      for (size_t j = 0; j < path.size(); ++j) {
        const int64_t key = path[j] * kv_cols + kv;
        const double ds = p[j] * (dp[j] - mean_dp) * static_cast<double>(shape.scale);
        for (int64_t d = 0; d < dim; ++d) {
          r.o[at + d] += p[j] * v[key + d];
          r.dv[key + d] += p[j] * dout[at + d];
          r.dq[at + d] += ds * k[key + d];
          r.dk[key + d] += ds * q[at + d];
        }
      }
    }
  }
  return r;
}

Doubles widen(const Floats& values) { return {values.begin(), values.end()}; }

Reference reference(const RandomTree& tree, const AttentionShape& shape, const Inputs& in) {
  return reference(tree, shape, widen(in.q), widen(in.k), widen(in.v), widen(in.dout));
}

void check_against_reference(const RandomTree& tree, const AttentionShape& shape, uint64_t seed) {
  const Inputs in(seed, tree.rows(), shape);
  const Reference expected = reference(tree, shape, in);
  for (const auto& backend : backends()) {
    const Outputs actual = run(backend, tree, shape, in);
    CHECK_LE(relative_error(actual.o, expected.o), 2e-6);
    CHECK_LE(relative_error(actual.lse, expected.lse), 2e-6);
    CHECK_LE(relative_error(actual.dq, expected.dq), 1e-5);
    CHECK_LE(relative_error(actual.dk, expected.dk), 1e-5);
    CHECK_LE(relative_error(actual.dv, expected.dv), 1e-5);
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
  for (const float value : run(make_cpu_backend(2), tree, shape, in).all()) CHECK(std::isfinite(value));
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

TEST("attention_tree same bits for threads and instruction sets") {
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
