#include "infer/request.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"

namespace ajet {
namespace {

template <typename Value>
void expect(bool valid, const char* expected, const char* name, Value value) {
  if (valid) return;
  fail(ErrorCode::invalid_argument, std::string("[engine.submit] Expected ") + expected + " for `" + name +
                                        "` but received " + std::to_string(value));
}

}  // namespace

void validate(const Request& request, int64_t vocab_size) {
  const SamplingParams& sampling = request.sampling;
  expect(!request.prompt.empty(), "at least 1 token", "prompt", request.prompt.size());
  const std::string range = "token ids in [0, " + std::to_string(vocab_size) + ")";
  for (const int32_t token : request.prompt) expect(token >= 0 && token < vocab_size, range.c_str(), "prompt", token);
  expect(request.choices >= 1, "at least 1", "choices", request.choices);
  expect(std::isfinite(sampling.temperature) && sampling.temperature >= 0, "a number >= 0", "temperature",
         sampling.temperature);
  expect(sampling.top_p > 0 && sampling.top_p <= 1, "a number in (0, 1]", "top_p", sampling.top_p);
  expect(sampling.min_p >= 0 && sampling.min_p < 1, "a number in [0, 1)", "min_p", sampling.min_p);
  expect(sampling.top_k >= 0, "at least 0", "top_k", sampling.top_k);
  expect(sampling.max_tokens >= 1, "at least 1", "max_tokens", sampling.max_tokens);
  expect(sampling.top_logprobs >= 0 && sampling.top_logprobs <= std::min<int64_t>(max_top_logprobs, vocab_size),
         "0 to 20 (and no more than the vocabulary)", "top_logprobs", sampling.top_logprobs);
}

}  // namespace ajet
