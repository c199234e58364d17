#include <algorithm>
#include <numeric>

#include "backend_fixture.h"
#include "drawn_tokens.h"

namespace ajet::test {
namespace {

// The distribution that a row is drawn from, by the definition of each filter, in float64.
Doubles reference_distribution(const Floats& logits, const SampleRow& row) {
  const size_t vocab = logits.size();
  Doubles p(vocab);
  const double highest = *std::ranges::max_element(logits);
  for (size_t v = 0; v < vocab; ++v) p[v] = std::exp((logits[v] - highest) / static_cast<double>(row.temperature));
  const auto normalise = [&] {
    const double total = std::accumulate(p.begin(), p.end(), 0.0);
    for (double& value : p) value /= total;
  };
  normalise();
  std::vector<size_t> order(vocab);
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return p[a] > p[b]; });
  if (row.top_k > 0) {
    for (size_t i = static_cast<size_t>(row.top_k); i < vocab; ++i) p[order[i]] = 0;
    normalise();
  }
  if (row.top_p < 1) {
    double mass = 0;
    for (const size_t v : order) {
      const bool enough = mass >= static_cast<double>(row.top_p);
      mass += p[v];
      if (enough) p[v] = 0;
    }
    normalise();
  }
  for (size_t i = 1; i < vocab; ++i)
    if (p[order[i]] < static_cast<double>(row.min_p) * p[order[0]]) p[order[i]] = 0;
  normalise();
  return p;
}

Floats joined(Floats a, const Floats& b) {
  append(a, b);
  return a;
}

struct Draws {
  std::vector<int32_t> tokens;
  Floats logprobs;
};

Draws draw(const std::shared_ptr<Backend>& backend, const Floats& logits, const std::vector<SampleRow>& rows) {
  const int64_t count = static_cast<int64_t>(rows.size()), vocab = static_cast<int64_t>(logits.size());
  Floats repeated;
  for (int64_t i = 0; i < count; ++i) append(repeated, logits);
  const DeviceMatrix device(*backend, count, vocab, repeated);
  Draws draws;
  for (const TokenLogprob& drawn :
       read_drawn(*backend, rows.size(), [&](auto to) { backend->sample(to, device, rows); })) {
    draws.tokens.push_back(drawn.token);
    draws.logprobs.push_back(drawn.logprob);
  }
  CHECK(same_bits(device.values(), repeated));
  return draws;
}

std::vector<SampleRow> offsets(SampleRow row, int64_t count) {
  std::vector<SampleRow> rows(count, row);
  for (int64_t i = 0; i < count; ++i) rows[i].offset = static_cast<uint64_t>(i);
  return rows;
}

// χ² of the draws against the distribution, cells of at least 5 expected draws; the bound is 6 standard deviations
// above the mean of the χ² distribution.
void check_distribution(const std::vector<int32_t>& tokens, const Doubles& p) {
  const double draws = static_cast<double>(tokens.size());
  std::vector<double> counts(p.size());
  for (const int32_t token : tokens) ++counts[token];
  double statistic = 0, cells = 0, rest_count = 0, rest_expected = 0;
  for (size_t v = 0; v < p.size(); ++v) {
    if (p[v] == 0) CHECK_EQ(counts[v], 0.0);
    if (draws * p[v] < 5) {
      rest_count += counts[v];
      rest_expected += draws * p[v];
      continue;
    }
    statistic += (counts[v] - draws * p[v]) * (counts[v] - draws * p[v]) / (draws * p[v]);
    ++cells;
  }
  if (rest_expected >= 5) {
    statistic += (rest_count - rest_expected) * (rest_count - rest_expected) / rest_expected;
    ++cells;
  }
  CHECK_LE(statistic, cells - 1 + 6 * std::sqrt(2 * cells));
}

const SampleRow filters[] = {
    {},
    {.temperature = 0.5F},
    {.temperature = 2.0F},
    {.top_k = 1},
    {.top_k = 7},
    {.top_k = 100000},
    {.top_p = 0.3F},
    {.top_p = 0.9F},
    {.top_p = 1e-6F},
    {.min_p = 0.05F},
    {.temperature = 1.5F, .top_p = 0.8F, .min_p = 0.1F, .top_k = 20},
    {.temperature = 0.7F, .top_p = 0.6F, .top_k = 5},
};

TEST("sample draws from the exact distribution under every filter") {
  const auto backend = backends().front();
  for (const int64_t vocab : {1, 17, 600}) {
    Floats logits = random_floats(1, vocab, 1.5);
    if (vocab > 10) logits[3] = logits[9] = logits[5];  // ties
    uint64_t seed = 100;
    for (SampleRow row : filters) {
      row.seed = ++seed;
      const int64_t draws = is_slow(*backend) ? 1000 : 4000;
      check_distribution(draw(backend, logits, offsets(row, draws)).tokens, reference_distribution(logits, row));
    }
  }
}

TEST("sample returns the log-probability of the unfiltered tempered distribution to the bit") {
  for (const auto& backend : backends()) {
    const int64_t vocab = 333;
    const Floats logits = random_floats(2, vocab, 3);
    for (SampleRow row : filters) {
      row.seed = 5;
      const std::vector<SampleRow> rows = offsets(row, 20);
      const Draws draws = draw(backend, logits, rows);
      const Floats inverse_temperature{1.0F / row.temperature};
      const DeviceMatrix device(*backend, 1, vocab, logits);
      Floats lse(1), expected(rows.size());
      backend->log_sum_exp(lse, {}, device, inverse_temperature);
      backend->gather_logprobs(expected, device, inverse_temperature, lse, std::vector<int32_t>(rows.size(), 0),
                               draws.tokens);
      CHECK(same_bits(draws.logprobs, expected));
    }
  }
}

TEST("sample at temperature 0 takes the lowest of the best ids with the log-probability of temperature 1") {
  for (const auto& backend : backends()) {
    Floats logits = random_floats(3, 100);
    logits[20] = logits[60] = 7;
    const Draws draws = draw(backend, logits, offsets({.temperature = 0, .top_p = 0.1F, .top_k = 3}, 5));
    double total = 0;
    for (const float value : logits) total += std::exp(static_cast<double>(value));
    for (const int32_t token : draws.tokens) CHECK_EQ(token, 20);
    for (const float logprob : draws.logprobs) CHECK_LE(std::fabs(logprob - (7 - std::log(total))), 1e-6);
  }
}

TEST("sample depends on seed and offset alone") {
  const Floats logits = random_floats(4, 2000, 2);
  std::vector<SampleRow> rows;
  for (uint64_t i = 0; i < 40; ++i) rows.push_back({.top_p = i % 3 == 0 ? 0.9F : 1.0F, .seed = i % 5, .offset = i});
  const auto equals = equal_backends().front();
  const auto backend = equals.back();
  const Draws together = draw(backend, logits, rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    const Draws alone = draw(equals.front(), logits, {rows[i]});
    CHECK_EQ(alone.tokens[0], together.tokens[i]);
    CHECK_EQ(alone.logprobs[0], together.logprobs[i]);
  }
  const Draws one = draw(backend, logits, offsets({.seed = 1}, 40));
  const Draws two = draw(backend, logits, offsets({.seed = 2}, 40));
  CHECK(one.tokens != two.tokens);
}

TEST("sample never draws a token of probability 0") {
  Floats logits(1000, -200.0F);
  for (const size_t v : {0, 256, 511, 900}) logits[v] = 1;
  for (const auto& backend : backends()) {
    for (const SampleRow& row : {SampleRow{.seed = 1}, SampleRow{.top_p = 0.999F, .seed = 1}}) {
      const Draws draws = draw(backend, logits, offsets(row, 500));
      for (const int32_t token : draws.tokens) CHECK_EQ(logits[token], 1.0F);
    }
  }
}

TEST("sample same bits on equal backends") {
  const Floats logits = random_floats(5, 5000, 2);
  check_same_bits_everywhere([&](const std::shared_ptr<Backend>& backend) {
    Draws draws = draw(backend, logits, offsets({.temperature = 1.1F, .seed = 8}, 60));
    for (const int32_t token : draws.tokens) draws.logprobs.push_back(static_cast<float>(token));
    return draws.logprobs;
  });
}

TEST("sample marks the rows whose logits are not finite, and those alone") {
  for (const auto& backend : backends()) {
    for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
      for (const int64_t at : {0, 15, 16, 20}) {
        for (const float temperature : {0.0F, 1.0F}) {
          Floats logits = random_floats(6, 21);
          logits[at] = bad;
          const DeviceMatrix two(*backend, 2, 21, joined(random_floats(7, 21), logits));
          const std::vector<SampleRow> rows(2, {.temperature = temperature});
          const auto drawn = read_drawn(*backend, 2, [&](auto to) { backend->sample(to, two, rows); });
          CHECK(drawn[0].token >= 0 && drawn[0].token < 21);
          CHECK_EQ(drawn[1].token, -1);
        }
      }
    }
  }
}

}  // namespace
}  // namespace ajet::test
