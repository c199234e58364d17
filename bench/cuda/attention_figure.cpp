// Attention of one layer over long sequences, by the op that training runs.
#include <cmath>
#include <string>
#include <vector>

#include "figure.h"
#include "measure.h"
#include "operands.h"

namespace ajet::bench {
namespace {

// A tree whose queries are the tokens behind the context, with its positions.
struct Layout {
  std::vector<TreeNode> nodes;
  std::vector<int32_t> positions;
  int64_t context = 0, queries = 0;
  double pairs = 0;  // of a query and a key that it sees

  TreeLayout view() const {
    int32_t last = 0;
    for (const int32_t position : positions) last = std::max(last, position);
    return {nodes, positions, last + 1, context};
  }
  void append(int64_t tokens, int32_t parent, int64_t position) {
    nodes.push_back(
        {static_cast<int32_t>(positions.size()), static_cast<int32_t>(tokens), parent, static_cast<int32_t>(position)});
    for (int64_t i = 0; i < tokens; ++i) positions.push_back(static_cast<int32_t>(position + i));
  }
  // Every token behind the context is a query, and sees as many keys as its position says.
  Layout finished() && {
    queries = static_cast<int64_t>(positions.size()) - context;
    for (size_t i = static_cast<size_t>(context); i < positions.size(); ++i) pairs += positions[i] + 1.0;
    return std::move(*this);
  }
};

Layout causal(int64_t tokens) {
  Layout layout;
  layout.append(tokens, -1, 0);
  return std::move(layout).finished();
}

// What stands for attention without a mask, which a token tree does not have: 16 branches below one context, so long
// that a query sees `tokens` keys on average; all of the context, and half of its own branch.
Layout unmasked(int64_t tokens) {
  constexpr int64_t branches = 16;
  const int64_t branch = tokens / branches;
  Layout layout;
  layout.context = tokens - branch / 2;
  layout.append(layout.context, -1, 0);
  for (int64_t b = 0; b < branches; ++b) layout.append(branch, 0, layout.context);
  return std::move(layout).finished();
}

void measure_layout(Bench& bench, Backend& backend, const std::string& name, const AttentionShape& shape,
                    const Layout& layout) {
  const DType compute = backend.compute_dtype();
  const int64_t rows = layout.context + layout.queries, queries = layout.queries;
  const int64_t query_cols = shape.heads * shape.head_dim, key_cols = shape.kv_heads * shape.head_dim;
  const auto matrix = [&](int64_t m, int64_t cols, uint64_t seed) {
    return random_matrix(backend, compute, m, cols, seed);
  };
  const DeviceMatrix q = matrix(queries, query_cols, 1), k = matrix(rows, key_cols, 2), v = matrix(rows, key_cols, 3);
  const DeviceMatrix o = matrix(queries, query_cols, 4), dout = matrix(queries, query_cols, 5);
  const DeviceMatrix dq = matrix(queries, query_cols, 6), dk = matrix(rows, key_cols, 7),
                     dv = matrix(rows, key_cols, 8);
  const DeviceMatrix lse = random_matrix(backend, DType::f32, queries, shape.heads, 9);
  const TreeLayout tree = layout.view();
  // q·k and p·v; five such products in the backward, one of them q·k again.
  const double product = 2 * static_cast<double>(shape.heads * shape.head_dim) * layout.pairs;
  const Json::Object facts{{"queries", queries}, {"pairs", layout.pairs}};
  bench.report({.figure = "attention",
                .name = name + ", forward",
                .times = measure(
                    backend, bench.options().seconds,
                    [&] { backend.attention_tree(o.tensor, lse.tensor, q.tensor, k.tensor, v.tensor, tree, shape); }),
                .flops = 2 * product,
                .more = facts});
  bench.report({.figure = "attention",
                .name = name + ", backward",
                .times = measure(backend, bench.options().seconds,
                                 [&] {
                                   backend.attention_tree_backward(dq.tensor, dk.tensor, dv.tensor, dout.tensor,
                                                                   o.tensor, lse.tensor, q.tensor, k.tensor, v.tensor,
                                                                   tree, shape, false);
                                 }),
                .flops = 5 * product,
                .more = facts});
}

}  // namespace

// Heads as in Qwen3-0.6B.
void measure_attention(Bench& bench) {
  const auto backend = bench.backend();
  const int64_t tokens = bench.pick<int64_t>(16384, 256), head_dim = bench.pick<int64_t>(128, 32);
  const AttentionShape shape{bench.pick<int64_t>(16, 4), bench.pick<int64_t>(8, 2), head_dim,
                             static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)))};
  const std::string count = std::to_string(tokens);
  measure_layout(bench, *backend, "unmasked, " + count, shape, unmasked(tokens));
  measure_layout(bench, *backend, "causal, " + count, shape, causal(tokens));
}

}  // namespace ajet::bench
