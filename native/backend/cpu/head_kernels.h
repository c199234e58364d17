// Arguments of the LM head's kernels. Included by files compiled with AVX flags: plain structs only.
#pragma once

namespace ajet::cpu {

// One row of logits: dlogprob is the sum over the row's tokens.
struct LogitsGradient {
  float inverse_temperature;
  float lse;
  float entropy;
  float dlogprob;
  float dentropy;
};

}  // namespace ajet::cpu
