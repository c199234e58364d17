// All calls of a step as one tree of tokens: shared prefixes are stored once, and a sampled token carries one
// entry per call choice that sampled it. See the design's "The token tree" and "Rows".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/batch_layout.h"

namespace ajet {

// One call choice: the ids that were sent, the ids that were sampled after them.
struct CallChoice {
  int32_t episode = 0;  // index into the step's episodes
  std::span<const int32_t> prompt;
  std::span<const int32_t> sampled;
  std::span<const float> logprobs;  // [sampled], as the sampler recorded them (may be empty for supervised data)
  float temperature = 1.0F;         // 0 (greedy) counts as 1, as in the sampler
  // 0/1 per sampled token; empty means all 1.
  std::span<const uint8_t> mask;
};

enum class CallFate : uint8_t { trained = 0, merged = 1 };  // own row, or inside a later call's row

struct Entry {
  int32_t parent_token;  // row of the batch whose hidden state predicts the token
  int32_t token;         // the sampled id
  int32_t choice;        // index into the calls
  int32_t index;         // position among the choice's sampled tokens
  int32_t row;           // merged timeline that the entry belongs to
  float old_logprob;
  float temperature;  // > 0
};

struct TokenTree {
  // Depth-first pre-order. tokens[i] at positions[i]; nodes as in TreeLayout, ordered by the first call that
  // made them, so that the layout does not depend on arrival order.
  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;
  std::vector<TreeNode> nodes;
  std::vector<Entry> entries;        // ascending parent_token, then choice, then index
  std::vector<int32_t> row_episode;  // [rows]
  std::vector<int64_t> row_tokens;   // [rows] trained tokens (len_i)
  std::vector<CallFate> fates;       // [calls]
  int64_t unshared_tokens = 0;       // Σ over rows of the full timeline's length
  int64_t max_position = 0;

  TreeLayout layout() const;
};

// Throws invalid_argument on an empty prompt or a sampled/logprobs/mask length mismatch. A call without sampled
// tokens makes no entries.
TokenTree build_token_tree(std::span<const CallChoice> calls);

// A part of the tree that is computed at once: its own nodes plus the path above the cut (computed again, without
// entries). Each entry of the tree is in exactly one part.
struct TreePart {
  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;
  std::vector<TreeNode> nodes;
  std::vector<int32_t> entry_index;   // into TokenTree::entries
  std::vector<int32_t> parent_token;  // row of this part for each of entry_index
  int64_t recomputed_tokens = 0;
  int64_t max_position = 0;

  TreeLayout layout() const;
};

// Parts of at most max_tokens rows (recomputed ones included), cut at branches so that as few tokens as possible are
// computed again. A single path longer than max_tokens is a part of its own, to be cut within (part_segments.h). Tokens
// that no entry needs (a timeline's last one) are in no part.
std::vector<TreePart> cut_tree(const TokenTree& tree, int64_t max_tokens);

}  // namespace ajet
