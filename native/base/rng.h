// Counter-based random numbers: a value depends on (key, counter) alone, never on the order of calls.
// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
#pragma once

#include <array>
#include <cstdint>

namespace ajet {

std::array<uint32_t, 4> philox4x32(uint64_t key, uint64_t counter_low, uint64_t counter_high = 0);

// Uniform in [0, 1), 53 bits.
double uniform_double(uint64_t key, uint64_t counter, uint64_t stream = 0);

// Standard normal (Box-Muller over two uniforms of one counter).
double normal_double(uint64_t key, uint64_t counter, uint64_t stream = 0);

}  // namespace ajet
