// Drawing tokens. A draw depends on its row's logits, parameters, seed and offset alone.
#include <algorithm>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/row_tasks.h"
#include "backend/cpu/task_scratch.h"
#include "backend/cpu/token_logprob.h"
#include "base/rng.h"

namespace ajet::cpu {
namespace {

struct Candidate {
  float p;
  int32_t token;
};

// The lower id first on ties.
bool more_likely(const Candidate& a, const Candidate& b) { return a.p > b.p || (a.p == b.p && a.token < b.token); }
bool less_likely(const Candidate& a, const Candidate& b) { return more_likely(b, a); }

// Σ p in four chains
double mass_of(const float* p, int64_t n) {
  double chains[4] = {};
  int64_t v = 0;
  for (; v + 4 <= n; v += 4)
    for (int c = 0; c < 4; ++c) chains[c] += static_cast<double>(p[v + c]);
  for (; v < n; ++v) chains[0] += static_cast<double>(p[v]);
  return (chains[0] + chains[1]) + (chains[2] + chains[3]);
}

// Inverse of the cumulative distribution in token order. Sums of blocks first, so that most tokens are added once.
int32_t draw_in_token_order(const float* p, int64_t vocab, double u) {
  constexpr int64_t block = 256;
  const int64_t blocks = (vocab + block - 1) / block;
  std::vector<double> block_mass(blocks);
  double total = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t first = b * block;
    block_mass[b] = mass_of(p + first, std::min(block, vocab - first));
    total += block_mass[b];
  }
  const double target = u * total;
  double below = 0;
  int64_t b = 0;
  while (b + 1 < blocks && below + block_mass[b] <= target) below += block_mass[b++];
  // Rounding may leave the target at the very end: the last token with a probability stands for it.
  int32_t last = -1;
  for (int64_t v = b * block; v < std::min(vocab, (b + 1) * block); ++v) {
    if (p[v] <= 0.0F) continue;
    last = static_cast<int32_t>(v);
    below += static_cast<double>(p[v]);
    if (below > target) return last;
  }
  for (int64_t v = b * block; last < 0; --v)
    if (p[v - 1] > 0.0F) last = static_cast<int32_t>(v - 1);
  return last;
}

// Tokens that top_k, then top_p, then min_p leave, most likely first. Each filter keeps a prefix of that order, so
// without top_k a heap yields no more than is kept. top_p's mass is relative to what top_k left.
std::vector<Candidate> filter(const float* p, int64_t vocab, const SampleRow& row) {
  std::vector<Candidate> candidates;
  candidates.reserve(vocab);
  for (int64_t v = 0; v < vocab; ++v)
    if (p[v] > 0.0F) candidates.push_back({p[v], static_cast<int32_t>(v)});
  const bool by_count = row.top_k > 0 && static_cast<size_t>(row.top_k) < candidates.size();
  if (by_count) {
    std::ranges::partial_sort(candidates, candidates.begin() + row.top_k, more_likely);
    candidates.resize(row.top_k);
  } else {
    std::ranges::make_heap(candidates, less_likely);
  }
  double mass = 0;
  for (const Candidate& c : candidates) mass += static_cast<double>(c.p);

  std::vector<Candidate> kept;
  double kept_mass = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    Candidate next = candidates[i];
    if (!by_count) {
      const auto end = candidates.end() - static_cast<int64_t>(i);
      std::pop_heap(candidates.begin(), end, less_likely);
      next = *(end - 1);
    }
    if (row.top_p < 1.0F && i > 0 && kept_mass >= static_cast<double>(row.top_p) * mass) break;
    if (i > 0 && static_cast<double>(next.p) < static_cast<double>(row.min_p) * static_cast<double>(kept[0].p)) break;
    kept.push_back(next);
    kept_mass += static_cast<double>(next.p);
  }
  return kept;
}

int32_t draw_in_sorted_order(const std::vector<Candidate>& candidates, double u) {
  double total = 0;
  for (const Candidate& c : candidates) total += static_cast<double>(c.p);
  double below = 0;
  for (const Candidate& c : candidates) {
    below += static_cast<double>(c.p);
    if (below > u * total) return c.token;
  }
  return candidates.back().token;
}

int32_t draw(const float* p, int64_t vocab, const SampleRow& row) {
  const double u = uniform_double(row.seed, row.offset);
  const bool filtered = (row.top_k > 0 && row.top_k < vocab) || row.top_p < 1.0F || row.min_p > 0.0F;
  return filtered ? draw_in_sorted_order(filter(p, vocab, row), u) : draw_in_token_order(p, vocab, u);
}

}  // namespace

void CpuBackend::do_sample(std::span<TokenLogprob> drawn, Tensor logits, std::span<const SampleRow> rows) {
  const int64_t vocab = logits.cols, floats = (vocab + 15) / 16 * 16;
  float* slices = scratch(scratch_slices(pool_, logits.rows) * floats);
  parallel_with_scratch(pool_, logits.rows, slices, floats, [&](int64_t r, float* p) {
    const float* x = logits.f32() + r * logits.stride;
    TokenLogprob& result = drawn[r];
    result = {};
    if (!k_.all_finite(x, vocab)) return;
    const bool greedy = rows[r].temperature == 0.0F;
    const float inverse_temperature = greedy ? 1.0F : 1.0F / rows[r].temperature;
    float lse;
    k_.log_sum_exp(&lse, nullptr, x, vocab, inverse_temperature);
    if (greedy) {
      result.token = static_cast<int32_t>(std::max_element(x, x + vocab) - x);
    } else {
      k_.softmax(p, x, vocab, inverse_temperature, lse);
      result.token = draw(p, vocab, rows[r]);
    }
    result.logprob = token_logprob(x, result.token, inverse_temperature, lse);
  });
}

void CpuBackend::do_top_logprobs(std::span<TokenLogprob> top, Tensor logits, int64_t row, float inverse_temperature) {
  const float* x = logits.f32() + row * logits.stride;
  std::ranges::fill(top, TokenLogprob{});
  if (!k_.all_finite(x, logits.cols)) return;  // NaN has no place in an order
  std::vector<Candidate> all(logits.cols);
  for (int64_t v = 0; v < logits.cols; ++v) all[v] = {x[v], static_cast<int32_t>(v)};
  std::partial_sort(all.begin(), all.begin() + static_cast<int64_t>(top.size()), all.end(), more_likely);
  float lse;
  k_.log_sum_exp(&lse, nullptr, x, logits.cols, inverse_temperature);
  for (size_t i = 0; i < top.size(); ++i)
    top[i] = {all[i].token, token_logprob(x, all[i].token, inverse_temperature, lse)};
}

}  // namespace ajet::cpu
