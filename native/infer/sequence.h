// One choice of a request, from submission to its last token.
#pragma once

#include <algorithm>
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
  std::vector<int32_t> tokens;  // prompt, then what was sampled, as far as the host knows it
  int32_t prompt_tokens = 0;
  // Tokens behind these that passes in flight draw (Pipeline), at most 2; at most 1 when a pass is scheduled, which
  // finds it at `drawn_row` of the draws of the pass before.
  int32_t pending = 0;
  int32_t drawn_row = -1;
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

  int32_t known() const { return static_cast<int32_t>(tokens.size()); }
  int32_t size() const { return known() + pending; }
  int32_t remaining() const { return size() - computed; }
  // Tokens whose KV others can use: computed, and known, so that they can be found.
  int32_t shareable() const { return std::min(computed, known()); }
  int32_t sampled() const { return size() - prompt_tokens; }
  // Its last token is on its way, so that there is nothing more to compute.
  bool awaits_end() const { return pending > 0 && sampled() >= sampling.max_tokens; }
  void arrive(int32_t token) {
    tokens.push_back(token);
    --pending;
  }
};

}  // namespace ajet
