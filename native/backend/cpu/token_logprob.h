// The one formula for a token's log-probability, shared by sampler and trainer.
#pragma once

#include <cstdint>

namespace ajet::cpu {

inline float token_logprob(const float* logits, int64_t token, float inverse_temperature, float lse) {
  return logits[token] * inverse_temperature - lse;
}

}  // namespace ajet::cpu
