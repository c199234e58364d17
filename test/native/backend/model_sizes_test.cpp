// The ops at the sizes that models have: one layer, and a vocabulary of 151,936. Every size on a card; elsewhere a few
// that together reach what the other tests' small sizes do not.
#include <algorithm>
#include <numeric>

#include "drawn_tokens.h"
#include "tree_attention.h"

namespace ajet::test {
namespace {

struct ModelSizes {
  int64_t hidden, heads, kv_heads, head_dim, intermediate;
  int64_t qkv_rows() const { return (heads + 2 * kv_heads) * head_dim; }
};
constexpr ModelSizes qwen3_06b{1024, 16, 8, 128, 3072}, qwen25_05b{896, 14, 2, 64, 4864},
    qwen25_15b{1536, 12, 2, 128, 8960}, llama32_1b{2048, 32, 8, 64, 8192}, ajet_tiny{192, 6, 2, 32, 512},
    ajet_lake{96, 3, 1, 32, 256};
constexpr ModelSizes all_models[] = {ajet_tiny, ajet_lake, qwen3_06b, qwen25_05b, qwen25_15b, llama32_1b};
constexpr int64_t qwen_vocabulary = 151936;

bool has_time(const Backend& backend) { return backend.has_own_memory() && !is_slow(backend); }

// ---- products -------------------------------------------------------------------------------------------

struct ProductSize {
  int64_t rows, depth, weight_rows;
};

// Rows of a decode step and of chunks of a prompt.
std::vector<ProductSize> product_sizes(const Backend& backend) {
  if (!has_time(backend)) return {{5, 896, 1152}, {1, 4864, 896}, {33, 192, 320}};
  std::vector<ProductSize> sizes;
  for (const ModelSizes& m : all_models) {
    for (const int64_t rows : {1, 130}) {
      const int64_t attended = m.heads * m.head_dim;
      sizes.push_back({rows, m.hidden, m.qkv_rows()});
      sizes.push_back({rows, attended, m.hidden});
      sizes.push_back({rows, m.hidden, 2 * m.intermediate});
      sizes.push_back({rows, m.intermediate, m.hidden});
    }
    sizes.push_back({64, m.hidden, 5000});
  }
  return sizes;
}

// Values that bf16 holds, so that what is left of an error is the product's own.
Matrix exact_in_bf16(int64_t rows, int64_t cols, uint64_t seed) {
  Matrix matrix(rows, cols);
  for (size_t i = 0; i < matrix.values.size(); ++i)
    matrix.values[i] = rounded(DType::bf16, static_cast<float>(2 * uniform_double(seed, i) - 1));
  return matrix;
}

// Elements of a result far apart, and what float64 says of them.
struct Sampled {
  Floats actual;
  Doubles expected;
  template <typename Expected>
  Sampled(const Matrix& result, const Expected& expected_at) {
    const int64_t count = result.rows * result.cols, step = std::max<int64_t>(1, count / 2000) | 1;
    for (int64_t i = 0; i < count; i += step) {
      actual.push_back(result.values[static_cast<size_t>(i)]);
      expected.push_back(expected_at(i / result.cols, i % result.cols));
    }
  }
  double error() const { return relative_error(actual, expected); }
};

double dot(int64_t count, const auto& left, const auto& right) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(left(i)) * static_cast<double>(right(i));
  return sum;
}

void check_products(Backend& backend, const Matrix& x, const Matrix& w, const Matrix& dy) {
  const DType dtype = backend.compute_dtype();
  // Tensor cores cut off what they add up. A single term that were missing would show as 1e-2.
  const double limit = dtype == DType::f32 ? 1e-5 : 1e-4;
  const DeviceMatrix device_x(backend, x, 0, dtype), device_dy(backend, dy, 0, dtype),
      y(backend, Matrix(dy.rows, dy.cols)), dx(backend, Matrix(x.rows, x.cols));
  const DeviceWeight weight(backend, w);
  const DeviceGradient dw(backend, Matrix(w.rows, w.cols));
  backend.linear(y, device_x, weight.weight());
  backend.linear_dx(dx, device_dy, weight.weight(), false);
  backend.linear_dw(dw.weight(), {}, device_dy, device_x);
  CHECK_LE(Sampled(y.read(),
                   [&](int64_t m, int64_t n) {
                     return dot(x.cols, [&](int64_t k) { return x(m, k); }, [&](int64_t k) { return w(n, k); });
                   })
               .error(),
           limit);
  CHECK_LE(Sampled(dx.read(),
                   [&](int64_t m, int64_t k) {
                     return dot(w.rows, [&](int64_t n) { return dy(m, n); }, [&](int64_t n) { return w(n, k); });
                   })
               .error(),
           limit);
  CHECK_LE(Sampled(dw.read(),
                   [&](int64_t n, int64_t k) {
                     return dot(x.rows, [&](int64_t m) { return dy(m, n); }, [&](int64_t m) { return x(m, k); });
                   })
               .error(),
           limit);
}

TEST("products of the models' sizes match float64") {
  const auto all = backends();
  for (const auto& [rows, depth, weight_rows] : product_sizes(*all.front())) {
    const Matrix x = exact_in_bf16(rows, depth, 1), w = exact_in_bf16(weight_rows, depth, 2),
                 dy = exact_in_bf16(rows, weight_rows, 3);
    for (const auto& backend : all) check_products(*backend, x, w, dy);
  }
}

// ---- attention ------------------------------------------------------------------------------------------

// A prompt with branches below it, as a group's samples make them.
RandomTree prompt_with_branches(int32_t prompt, int32_t branch) {
  RandomTree tree;
  const int32_t root = tree.add(-1, prompt);
  for (int i = 0; i < 3; ++i) tree.add(root, branch + i);
  return tree;
}

TEST("attention with the models' heads matches float64") {
  for (const auto& backend : backends()) {
    for (const ModelSizes& m : all_models) {
      // A group's key head is like the others; one tells of the rest where there is no time.
      const int64_t kv_heads = has_time(*backend) ? m.kv_heads : 1;
      const AttentionShape shape = shape_of(m.heads / m.kv_heads * kv_heads, kv_heads, m.head_dim);
      const RandomTree tree = has_time(*backend) ? prompt_with_branches(130, 70) : prompt_with_branches(70, 5);
      const Inputs in(static_cast<uint64_t>(m.hidden), tree.rows(), shape);
      check_matches(*backend, run(backend, tree, shape, in), reference(tree, shape, in));
    }
  }
}

// ---- the vocabulary -------------------------------------------------------------------------------------

Floats qwen_logits(uint64_t seed) {
  Floats logits(qwen_vocabulary);
  for (int64_t v = 0; v < qwen_vocabulary; ++v)
    logits[v] = static_cast<float>(8 * uniform_double(seed, static_cast<uint64_t>(v)) - 6);
  logits[3] = logits[70000] = logits[qwen_vocabulary - 1] = 7;  // ties, the last token among them
  return logits;
}

struct Softmax {
  double lse, entropy = 0;
  Doubles p;
  Softmax(const Floats& logits, double inverse_temperature) {
    double total = 0;
    for (const float logit : logits) total += std::exp(static_cast<double>(logit) * inverse_temperature);
    lse = std::log(total);
    for (const float logit : logits) {
      const double logprob = static_cast<double>(logit) * inverse_temperature - lse;
      p.push_back(std::exp(logprob));
      entropy -= p.back() * logprob;
    }
  }
};

TEST("log-probs and their gradient over a vocabulary of 151936 match float64") {
  const Floats x = qwen_logits(1), factor{0.8F};
  const Softmax exact(x, 0.8F);
  const std::vector<int32_t> row{0, 0, 0}, token{0, 70000, qwen_vocabulary - 1};
  const Floats dlogprob{0.5F, -1, 2}, dentropy{0.25F};
  Doubles expected(x.size());
  for (size_t v = 0; v < x.size(); ++v) {
    double sum = -0.25 * exact.p[v] * (std::log(exact.p[v]) + exact.entropy);
    for (size_t t = 0; t < token.size(); ++t)
      sum += static_cast<double>(dlogprob[t]) * ((static_cast<int32_t>(v) == token[t] ? 1.0 : 0.0) - exact.p[v]);
    expected[v] = sum * static_cast<double>(factor[0]);
  }
  for (const auto& backend : backends()) {
    const DeviceMatrix logits(*backend, 1, qwen_vocabulary, x);
    Floats lse(1), entropy(1), logprobs(3);
    backend->log_sum_exp(lse, entropy, logits, factor);
    backend->gather_logprobs(logprobs, logits, factor, lse, row, token);
    CHECK_LE(std::fabs(lse[0] - exact.lse), 1e-5);
    CHECK_LE(std::fabs(entropy[0] - exact.entropy), 1e-4);
    for (size_t t = 0; t < token.size(); ++t)
      CHECK_LE(std::fabs(logprobs[t] - std::log(exact.p[static_cast<size_t>(token[t])])), 1e-5);
    backend->logits_backward(logits, factor, lse, entropy, dentropy, row, token, dlogprob);
    CHECK_LE(relative_error(logits.values(), expected), 1e-5);
  }
}

// The tokens that a filter keeps are known: all draws lie among them, and each is drawn.
void check_kept(const std::shared_ptr<Backend>& backend, const Floats& x, SampleRow row,
                const std::vector<int32_t>& kept) {
  constexpr int64_t draws = 24;
  Floats repeated;
  std::vector<SampleRow> rows;
  for (uint64_t i = 0; i < draws; ++i) {
    row.offset = i;
    rows.push_back(row);
    append(repeated, x);
  }
  const DeviceMatrix logits(*backend, draws, qwen_vocabulary, repeated);
  std::vector<int64_t> counts(kept.size());
  for (const TokenLogprob& drawn : read_drawn(*backend, draws, [&](auto to) { backend->sample(to, logits, rows); })) {
    const auto found = std::ranges::find(kept, drawn.token);
    CHECK(found != kept.end());
    ++counts[static_cast<size_t>(found - kept.begin())];
  }
  for (const int64_t count : counts) CHECK(count > 0);
}

TEST("filters keep the right tokens of a vocabulary of 151936") {
  // Three ties at the top, a fourth half as likely, and all the others together less likely than any of them.
  Floats x(qwen_vocabulary, 0.0F);
  const std::vector<int32_t> best{3, 70000, qwen_vocabulary - 1};
  for (const int32_t v : best) x[static_cast<size_t>(v)] = 14;
  x[100000] = 14 - std::log(2.0F);
  std::vector<int32_t> likely = best;
  likely.push_back(100000);
  const auto backend = backends().front();
  check_kept(backend, x, {.top_k = 3, .seed = 1}, best);
  check_kept(backend, x, {.top_k = 2, .seed = 2}, {3, 70000});  // ties keep the lower ids
  check_kept(backend, x, {.top_p = 0.6F, .seed = 3}, best);
  check_kept(backend, x, {.min_p = 0.4F, .seed = 4}, likely);
  check_kept(backend, x, {.temperature = 0, .seed = 5}, {3});
  check_kept(backend, x, {.temperature = 0.5F, .top_p = 0.9F, .min_p = 0.1F, .top_k = 5, .seed = 6}, best);
}

TEST("the most likely tokens of a vocabulary of 151936") {
  const Floats x = qwen_logits(2);
  std::vector<int32_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::partial_sort(order, order.begin() + 20, [&](int32_t a, int32_t b) {
    const float left = x[static_cast<size_t>(a)], right = x[static_cast<size_t>(b)];
    return left != right ? left > right : a < b;
  });
  for (const auto& backend : backends()) {
    const DeviceMatrix logits(*backend, 1, qwen_vocabulary, x);
    const auto top = read_drawn(*backend, 20, [&](auto to) { backend->top_logprobs(to, logits, 0, 1.0F); });
    for (size_t i = 0; i < top.size(); ++i) CHECK_EQ(top[i].token, order[i]);
  }
}

}  // namespace
}  // namespace ajet::test
