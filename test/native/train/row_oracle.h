// Rows, fates and denominators straight from their definitions: whole sequences, loops over all pairs of calls.
#pragma once

#include <algorithm>
#include <set>
#include <vector>

#include "random_calls.h"

namespace ajet::test {

using Sequence = std::vector<int32_t>;

inline bool is_prefix(const Sequence& a, const Sequence& b) {
  return a.size() <= b.size() && std::equal(a.begin(), a.end(), b.begin());
}

struct RowOracle {
  std::vector<CallFate> fates;
  std::vector<int32_t> row_call;    // the call whose row a call's tokens belong to
  std::vector<int64_t> row_tokens;  // by call
  int64_t unshared_tokens = 0;
  std::set<Sequence> prefixes;

  explicit RowOracle(const std::vector<OwnedCall>& calls) : row_tokens(calls.size(), 0) {
    for (size_t a = 0; a < calls.size(); ++a) {
      bool merged = false;
      for (size_t b = 0; b < calls.size(); ++b) {
        if (a == b || calls[a].episode != calls[b].episode || !is_prefix(calls[a].sequence(), calls[b].sequence()))
          continue;
        merged = merged || calls[a].sequence().size() < calls[b].sequence().size() || b < a;
      }
      fates.push_back(merged ? CallFate::merged : CallFate::trained);
    }
    for (size_t a = 0; a < calls.size(); ++a) {
      size_t row = 0;
      while (fates[row] == CallFate::merged || calls[row].episode != calls[a].episode ||
             !is_prefix(calls[a].sequence(), calls[row].sequence()))
        ++row;
      row_call.push_back(static_cast<int32_t>(row));
      for (size_t i = 0; i < calls[a].sampled.size(); ++i)
        row_tokens[row] += calls[a].mask.empty() || calls[a].mask[i] != 0 ? 1 : 0;
      const Sequence sequence = calls[a].sequence();
      for (size_t length = 1; length <= sequence.size(); ++length)
        prefixes.insert(Sequence(sequence.begin(), sequence.begin() + static_cast<int64_t>(length)));
    }
    for (size_t a = 0; a < calls.size(); ++a) {
      if (row_tokens[a] > 0) unshared_tokens += static_cast<int64_t>(calls[a].sequence().size());
    }
  }
};

}  // namespace ajet::test
