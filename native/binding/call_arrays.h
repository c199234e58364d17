// Call choices as they cross: flat arrays with offsets, one copy on the JS thread.
#pragma once

#include <napi.h>

#include <cstdint>
#include <vector>

#include "train/token_tree.h"

namespace ajet::binding {

struct CallArrays {
  std::vector<int32_t> episodes;        // [calls]
  std::vector<float> temperatures;      // [calls]
  std::vector<int32_t> prompt_offsets;  // [calls + 1]
  std::vector<int32_t> prompts;
  std::vector<int32_t> sampled_offsets;  // [calls + 1]
  std::vector<int32_t> sampled;
  std::vector<int32_t> logprob_offsets;  // [calls + 1]; a call has as many log-probs as sampled tokens, or none
  std::vector<float> logprobs;
  std::vector<uint8_t> masks;  // [sampled], or empty: all trained

  // Views into the arrays: valid as long as these live and do not move.
  std::vector<CallChoice> choices() const;
};

// Reads and checks the object that src/native/call-arrays.ts makes. Episodes lie in [0, episodes), tokens in
// [0, vocab_size).
CallArrays copy_calls(const char* op, Napi::Value value, int64_t episodes, int64_t vocab_size);

}  // namespace ajet::binding
