// One choice of a request, from submission to its last token.
#pragma once

#include <cstdint>
#include <vector>

#include "infer/request.h"

namespace ajet {

struct Sequence {
  uint64_t request = 0;
  int32_t choice = 0;
  uint64_t arrival = 0;  // order of submission, unique
  SamplingParams sampling;
  uint64_t draw_seed = 0;       // of the request's seed and the choice
  std::vector<int32_t> tokens;  // prompt, then what was sampled
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = -1;  // found in the prefix tree at the first admission; -1 before

  // While running: KV of tokens[0, computed) lies in `blocks`, of which the first `published` are the nodes of the
  // prefix tree on the way to `node`.
  int32_t computed = 0;
  std::vector<int32_t> blocks;
  int32_t published = 0;
  int32_t node = -1;
  bool prefilling = false;  // between admission and the next draw
  bool finished = false;

  // While waiting: the arrival number of a running sequence that is computing a prefix of these tokens, and the
  // number of tokens after which it is there to share.
  uint64_t awaited_arrival = 0;
  int32_t awaited_tokens = 0;

  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
  int32_t remaining() const { return size() - computed; }
  int32_t sampled() const { return size() - prompt_tokens; }
};

}  // namespace ajet
