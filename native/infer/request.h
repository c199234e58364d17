// What a caller asks the engine for, and what comes back.
#pragma once

#include <cstdint>
#include <vector>

namespace ajet {

constexpr int32_t max_top_logprobs = 20;

struct SamplingParams {
  float temperature = 1.0F;             // >= 0; 0 is greedy
  float top_p = 1.0F;                   // (0, 1]
  float min_p = 0.0F;                   // [0, 1)
  int32_t top_k = 0;                    // >= 0; 0 is off
  uint64_t seed = 0;                    // with the choice's index and the token's index decides every draw
  int32_t max_tokens = 0;               // >= 1
  int32_t top_logprobs = 0;             // 0 to max_top_logprobs
  std::vector<int32_t> stop_token_ids;  // sampled, recorded, and ends the choice
};

struct Request {
  uint64_t id = 0;  // unique among live requests
  std::vector<int32_t> prompt;
  int32_t choices = 1;
  SamplingParams sampling;
};

enum class FinishReason : uint8_t { none = 0, stop = 1, length = 2, cancelled = 3, error = 4 };

// Throws invalid_argument where a field is out of its range or a prompt token is not in [0, vocab_size).
void validate(const Request& request, int64_t vocab_size);

// One sampled token, or the end of a choice (token -1, finish set).
struct TokenEvent {
  uint64_t request = 0;
  int32_t choice = 0;
  int32_t token = -1;
  float logprob = 0.0F;
  FinishReason finish = FinishReason::none;  // set together with the last token, or alone when cancelled
  uint64_t version = 0;                      // of the weights that this token was sampled under
  int32_t cached_tokens = 0;                 // of the prompt, found in the prefix tree when the choice first ran
  std::vector<int32_t> top_tokens;
  std::vector<float> top_logprobs;
};

}  // namespace ajet
