// Token ids as any prompt's or response's, the same for a seed everywhere.
#pragma once

#include <cstdint>
#include <vector>

#include "base/rng.h"

namespace ajet::bench {

inline std::vector<int32_t> random_ids(uint64_t seed, int64_t count, int64_t vocab_size) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<int32_t>(philox4x32(seed, i)[0] % static_cast<uint64_t>(vocab_size));
  return ids;
}

// In [least, most].
inline int64_t random_length(uint64_t seed, uint64_t index, int64_t least, int64_t most) {
  return least + static_cast<int64_t>(philox4x32(seed, index)[0] % static_cast<uint64_t>(most - least + 1));
}

}  // namespace ajet::bench
