#include <algorithm>

#include "backend_fixture.h"
#include "drawn_tokens.h"

namespace ajet::test {
namespace {

const int64_t vocabularies[] = {1, 15, 16, 17, 1000};

struct RowReference {
  double lse = 0, entropy = 0;
  Doubles p;
};

RowReference reference(const float* logits, int64_t vocab, float inverse_temperature) {
  RowReference r;
  double total = 0, highest = -INFINITY;
  const auto z = [&](int64_t v) { return static_cast<double>(logits[v]) * static_cast<double>(inverse_temperature); };
  for (int64_t v = 0; v < vocab; ++v) highest = std::max(highest, z(v));
  for (int64_t v = 0; v < vocab; ++v) total += std::exp(z(v) - highest);
  r.lse = highest + std::log(total);
  for (int64_t v = 0; v < vocab; ++v) {
    r.p.push_back(std::exp(z(v) - r.lse));
    r.entropy -= r.p[v] * (z(v) - r.lse);
  }
  return r;
}

TEST("log_sum_exp and entropy match float64") {
  for (const auto& backend : backends()) {
    for (const int64_t vocab : vocabularies) {
      for (const double scale : {0.01, 3.0, 200.0}) {
        const int64_t rows = 5;
        const Floats x = random_floats(1, rows * vocab, scale), inverse_temperature{1, 0.5F, 2, 0.1F, 10};
        const DeviceMatrix logits(*backend, rows, vocab, x);
        Floats lse(rows), entropy(rows), lse_alone(rows);
        backend->log_sum_exp(lse, entropy, logits, inverse_temperature);
        backend->log_sum_exp(lse_alone, {}, logits, inverse_temperature);
        CHECK(same_bits(lse, lse_alone));
        for (int64_t r = 0; r < rows; ++r) {
          const RowReference expected = reference(&x[r * vocab], vocab, inverse_temperature[r]);
          CHECK_LE(std::fabs(lse[r] - expected.lse), 2e-6 * std::max(1.0, std::fabs(expected.lse)));
          CHECK_LE(std::fabs(entropy[r] - expected.entropy), 1e-5 * std::max(0.1, expected.entropy));
        }
      }
    }
  }
}

TEST("log_sum_exp row does not depend on the batch") {
  for (const auto& backend : backends()) {
    const int64_t rows = 9, vocab = 1003;
    const Floats x = random_floats(2, rows * vocab, 4), inverse_temperature(rows, 0.7F);
    Floats lse(rows), one(1);
    backend->log_sum_exp(lse, {}, DeviceMatrix(*backend, rows, vocab, x), inverse_temperature);
    for (int64_t r = 0; r < rows; ++r) {
      const DeviceMatrix row(*backend, 1, vocab, Floats(x.begin() + r * vocab, x.begin() + (r + 1) * vocab));
      backend->log_sum_exp(one, {}, row, {&inverse_temperature[0], 1});
      CHECK_EQ(one[0], lse[r]);
    }
  }
}

struct Entries {
  std::vector<int32_t> row, token;
  Floats dlogprob;
};

// Several tokens for some rows, none for row 1.
Entries some_entries(int64_t rows, int64_t vocab) {
  Entries e;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; r != 1 && i <= r % 3; ++i) {
      e.row.push_back(static_cast<int32_t>(r));
      e.token.push_back(static_cast<int32_t>((r * 31 + i * 7) % vocab));
      e.dlogprob.push_back(0.3F * static_cast<float>(i + 1) - 0.5F);
    }
  }
  return e;
}

TEST("gather_logprobs matches float64") {
  for (const auto& backend : backends()) {
    for (const int64_t vocab : vocabularies) {
      const int64_t rows = 6;
      const Floats x = random_floats(3, rows * vocab, 3), inverse_temperature{1, 1, 0.5F, 2, 1, 0.9F};
      const DeviceMatrix logits(*backend, rows, vocab, x);
      const Entries e = some_entries(rows, vocab);
      Floats lse(rows), logprobs(e.row.size());
      backend->log_sum_exp(lse, {}, logits, inverse_temperature);
      backend->gather_logprobs(logprobs, logits, inverse_temperature, lse, e.row, e.token);
      for (size_t t = 0; t < e.row.size(); ++t) {
        const RowReference expected = reference(&x[e.row[t] * vocab], vocab, inverse_temperature[e.row[t]]);
        CHECK_LE(std::fabs(logprobs[t] - std::log(expected.p[e.token[t]])), 5e-6);
      }
    }
  }
}

// Σ_t dlogprob[t] * log p[row, token] + Σ_r dentropy[r] * entropy[r], in float64
double objective(const Floats& x, int64_t vocab, const Floats& inverse_temperature, const Entries& e,
                 const Floats& dentropy) {
  double sum = 0;
  for (size_t r = 0; r < inverse_temperature.size(); ++r) {
    const RowReference row = reference(&x[r * vocab], vocab, inverse_temperature[r]);
    for (size_t t = 0; t < e.row.size(); ++t)
      if (e.row[t] == static_cast<int32_t>(r)) sum += e.dlogprob[t] * std::log(row.p[e.token[t]]);
    if (!dentropy.empty()) sum += dentropy[r] * row.entropy;
  }
  return sum;
}

TEST("logits_backward matches finite differences of float64") {
  for (const auto& backend : backends()) {
    for (const int64_t vocab : {2, 15, 17, 40}) {
      const int64_t rows = 4;
      const Entries e = some_entries(rows, vocab);
      const Floats x = random_floats(4, rows * vocab, 2), inverse_temperature{1, 0.5F, 2, 1};
      for (const Floats& dentropy : {Floats{}, Floats{0.1F, -0.2F, 0, 0.4F}}) {
        const DeviceMatrix logits(*backend, rows, vocab, x);
        Floats lse(rows), entropy(rows);
        backend->log_sum_exp(lse, entropy, logits, inverse_temperature);
        backend->logits_backward(logits, inverse_temperature, lse, entropy, dentropy, e.row, e.token, e.dlogprob);
        Doubles numeric(x.size());
        for (size_t i = 0; i < x.size(); ++i) {
          // Differences by what the float steps really are.
          Floats above = x, below = x;
          above[i] += 1e-2F;
          below[i] -= 1e-2F;
          numeric[i] = (objective(above, vocab, inverse_temperature, e, dentropy) -
                        objective(below, vocab, inverse_temperature, e, dentropy)) /
                       (static_cast<double>(above[i]) - static_cast<double>(below[i]));
        }
        CHECK_LE(relative_error(logits.values(), numeric), 2e-4);
      }
    }
  }
}

TEST("logits_backward matches the documented formula in float64") {
  for (const auto& backend : backends()) {
    for (const int64_t vocab : vocabularies) {
      if (vocab == 1) continue;  // the gradient is 0
      const int64_t rows = 7;
      const Entries e = some_entries(rows, vocab);
      const Floats x = random_floats(5, rows * vocab, 3), dentropy = random_floats(6, rows, 0.1);
      const Floats inverse_temperature{1, 0.5F, 2, 1, 0.7F, 1, 1.3F};
      const DeviceMatrix logits(*backend, rows, vocab, x);
      Floats lse(rows), entropy(rows);
      backend->log_sum_exp(lse, entropy, logits, inverse_temperature);
      backend->logits_backward(logits, inverse_temperature, lse, entropy, dentropy, e.row, e.token, e.dlogprob);
      Doubles expected(x.size());
      for (int64_t r = 0; r < rows; ++r) {
        const RowReference row = reference(&x[r * vocab], vocab, inverse_temperature[r]);
        for (int64_t v = 0; v < vocab; ++v) {
          double sum = -dentropy[r] * row.p[v] * (std::log(row.p[v]) + row.entropy);
          for (size_t t = 0; t < e.row.size(); ++t)
            if (e.row[t] == r) sum += e.dlogprob[t] * ((v == e.token[t] ? 1.0 : 0.0) - row.p[v]);
          expected[r * vocab + v] = sum * inverse_temperature[r];
        }
      }
      CHECK_LE(relative_error(logits.values(), expected), 1e-5);
    }
  }
}

TEST("head ops same bits on equal backends") {
  check_same_bits_everywhere([](const std::shared_ptr<Backend>& backend) {
    const int64_t rows = 37, vocab = 1009;
    const DeviceMatrix logits(*backend, rows, vocab, random_floats(7, rows * vocab, 5));
    const Entries e = some_entries(rows, vocab);
    Floats lse(rows), entropy(rows), logprobs(e.row.size());
    const Floats inverse_temperature(rows, 0.8F), dentropy(rows, 0.01F);
    backend->log_sum_exp(lse, entropy, logits, inverse_temperature);
    backend->gather_logprobs(logprobs, logits, inverse_temperature, lse, e.row, e.token);
    backend->logits_backward(logits, inverse_temperature, lse, entropy, dentropy, e.row, e.token, e.dlogprob);
    Floats all = logits.values();
    for (const Floats& part : {lse, entropy, logprobs}) append(all, part);
    return all;
  });
}

TEST("top_logprobs lists the most likely tokens, lower ids first on ties") {
  for (const auto& backend : backends()) {
    const int64_t vocab = 50;
    Floats x = random_floats(8, 2 * vocab);
    x[vocab + 30] = x[vocab + 7] = x[vocab + 40] = 9;
    const DeviceMatrix logits(*backend, 2, vocab, x);
    std::vector<int32_t> tokens;
    Floats logprobs, lse(2), expected(20);
    for (const TokenLogprob& entry :
         read_drawn(*backend, 20, [&](auto top) { backend->top_logprobs(top, logits, 1, 0.5F); })) {
      tokens.push_back(entry.token);
      logprobs.push_back(entry.logprob);
    }
    CHECK(tokens[0] == 7 && tokens[1] == 30 && tokens[2] == 40);
    CHECK(std::ranges::is_sorted(logprobs, std::greater<>{}));
    const Floats inverse_temperature(2, 0.5F);
    backend->log_sum_exp(lse, {}, logits, inverse_temperature);
    backend->gather_logprobs(expected, logits, inverse_temperature, lse, std::vector<int32_t>(20, 1), tokens);
    CHECK(same_bits(logprobs, expected));
    for (int32_t v = 0; v < vocab; ++v)
      if (std::ranges::find(tokens, v) == tokens.end()) CHECK_LE(x[vocab + v], x[vocab + tokens.back()]);
  }
}

}  // namespace
}  // namespace ajet::test
