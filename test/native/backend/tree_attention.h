// Attention over a token tree on a backend, and in float64 straight from its definition.
#pragma once

#include <algorithm>
#include <cmath>

#include "backend_fixture.h"
#include "random_tree.h"

namespace ajet::test {

inline AttentionShape shape_of(int64_t heads, int64_t kv_heads, int64_t head_dim) {
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

inline Outputs run(const std::shared_ptr<Backend>& backend, const RandomTree& tree, const AttentionShape& shape,
                   const Inputs& in) {
  const int64_t rows = tree.rows(), cols = shape.heads * shape.head_dim, kv_cols = shape.kv_heads * shape.head_dim;
  const ComputeMatrix q(*backend, rows, cols, in.q), k(*backend, rows, kv_cols, in.k), v(*backend, rows, kv_cols, in.v),
      dout(*backend, rows, cols, in.dout), o(*backend, rows, cols), dq(*backend, rows, cols),
      dk(*backend, rows, kv_cols), dv(*backend, rows, kv_cols);
  const DeviceMatrix lse(*backend, rows, shape.heads);
  backend->attention_tree(o, lse, q, k, v, tree.layout(), shape);
  backend->attention_tree_backward(dq, dk, dv, dout, o, lse, q, k, v, tree.layout(), shape, false);
  return {o.values(), lse.values(), dq.values(), dk.values(), dv.values()};
}

// Forward and backward, each segment [begin, end) below the rows before it: forward in order, backward from the last,
// gradients of keys and values added up on the device.
inline Outputs run_segments(const std::shared_ptr<Backend>& backend, const RandomTree& tree,
                            const std::vector<int64_t>& ends, const AttentionShape& shape, const Inputs& in) {
  const int64_t rows = tree.rows(), cols = shape.heads * shape.head_dim, kv_cols = shape.kv_heads * shape.head_dim;
  const ComputeMatrix q(*backend, rows, cols, in.q), k(*backend, rows, kv_cols, in.k), v(*backend, rows, kv_cols, in.v),
      dout(*backend, rows, cols, in.dout), o(*backend, rows, cols), dq(*backend, rows, cols);
  const DeviceMatrix lse(*backend, rows, shape.heads), dk(*backend, rows, kv_cols), dv(*backend, rows, kv_cols);
  std::vector<RandomTree> segments;
  for (const int64_t end : ends) segments.push_back(tree.segment(segments.empty() ? 0 : segments.back().rows(), end));
  const auto own = [](const DeviceMatrix& x, const RandomTree& segment) {
    return x.tensor().slice_rows(segment.context_tokens, segment.rows() - segment.context_tokens);
  };
  const auto all = [](const DeviceMatrix& x, const RandomTree& segment) {
    return x.tensor().slice_rows(0, segment.rows());
  };
  for (const RandomTree& s : segments)
    backend->attention_tree(own(o, s), own(lse, s), own(q, s), all(k, s), all(v, s), s.layout(), shape);
  for (size_t i = segments.size(); i-- > 0;) {
    const RandomTree& s = segments[i];
    backend->attention_tree_backward(own(dq, s), all(dk, s), all(dv, s), own(dout, s), own(o, s), own(lse, s),
                                     own(q, s), all(k, s), all(v, s), s.layout(), shape, true);
  }
  return {o.values(), lse.values(), dq.values(), dk.values(), dv.values()};
}

struct Reference {
  Doubles o, lse, dq, dk, dv;
};

// Softmax attention over the path of each row, and its derivative, in float64.
inline Reference reference(const RandomTree& tree, const AttentionShape& shape, const Doubles& q, const Doubles& k,
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

inline Doubles widen(const Floats& values) { return {values.begin(), values.end()}; }

inline Reference reference(const RandomTree& tree, const AttentionShape& shape, const Inputs& in) {
  return reference(tree, shape, widen(in.q), widen(in.k), widen(in.v), widen(in.dout));
}

inline void check_matches(const Backend& backend, const Outputs& actual, const Reference& expected) {
  CHECK_LE(relative_error(actual.o, expected.o), tolerance(backend, 2e-6));
  CHECK_LE(relative_error(actual.lse, expected.lse), tolerance(backend, 2e-6));
  CHECK_LE(relative_error(actual.dq, expected.dq), tolerance(backend, 1e-5));
  CHECK_LE(relative_error(actual.dk, expected.dk), tolerance(backend, 1e-5));
  CHECK_LE(relative_error(actual.dv, expected.dv), tolerance(backend, 1e-5));
}

}  // namespace ajet::test
