// Finds positions in a row's order by descending key, lower column first on ties, without sorting: the row is read once
// for each of three digits of the key, and its elements counted, and their masses added up, by digit. Masses are
// integers (fixed point), so that atomics add them up in any order to the same sum.
#pragma once

#include "backend/cuda/device/vocabulary.cuh"

namespace ajet::cuda {

// Ascending with the float; -0 as 0. Finite values.
AJET_DEVICE uint32_t ordered_bits(float value) {
  const uint32_t bits = float_bits(value + 0.0F);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
AJET_DEVICE float ordered_float(uint32_t key) {
  return bits_float((key & 0x80000000U) != 0 ? key & 0x7FFFFFFFU : ~key);
}

struct Selected {
  uint32_t key;
  uint64_t tie;         // how many of the same key come before it
  uint64_t mass_above;  // of all larger keys
};

constexpr int max_bins = 2048;
struct SelectionMemory {
  uint32_t counts[max_bins], low[max_bins], high[max_bins];  // mass = high * 2^32 + low
  uint32_t digit;
  uint64_t before, mass_before;  // in the measure that is searched, and mass
};

AJET_DEVICE uint64_t bin_mass(const SelectionMemory& memory, int bin) {
  return static_cast<uint64_t>(memory.high[bin]) << 32 | memory.low[bin];
}

template <typename T>
AJET_DEVICE T warp_inclusive_sum(T value) {
#pragma unroll
  for (int distance = 1; distance < warp_lanes; distance *= 2) {
    const T below = shuffle(value, lane_index() >= distance ? lane_index() - distance : lane_index());
    if (lane_index() >= distance) value += below;
  }
  return value;
}

// Σ of the values of the threads before this one. `scratch` is shared memory for a value a warp.
template <typename T>
AJET_DEVICE T block_exclusive_sum(T value, T* scratch) {
  const T inclusive = warp_inclusive_sum(value);
  __syncthreads();
  if (lane_index() == warp_lanes - 1) scratch[warp_index()] = inclusive;
  __syncthreads();
  T before = inclusive - value;
  for (int w = 0; w < warp_index(); ++w) before += scratch[w];
  return before;
}

// The highest digit at which the measure (count or mass) summed from the top exceeds `target`; a warp calls it.
AJET_DEVICE void find_digit(SelectionMemory& memory, int bins, bool by_count, uint64_t target) {
  const int lane_bins = bins / warp_lanes, top = bins - 1 - lane_index() * lane_bins;
  uint64_t counts = 0, masses = 0;
  for (int i = 0; i < lane_bins; ++i) {
    counts += memory.counts[top - i];
    masses += bin_mass(memory, top - i);
  }
  const uint64_t own = by_count ? counts : masses;
  uint64_t before = warp_inclusive_sum(own) - own, mass_before = warp_inclusive_sum(masses) - masses;
  if (before > target || before + own <= target) return;  // one lane goes on
  int bin = top;
  for (;; --bin) {
    const uint64_t mass = bin_mass(memory, bin), measure = by_count ? memory.counts[bin] : mass;
    if (before + measure > target || bin == top - lane_bins + 1) break;
    before += measure;
    mass_before += mass;
  }
  memory.digit = static_cast<uint32_t>(bin);
  memory.before = before;
  memory.mass_before = mass_before;
}

// The element whose predecessors in the order are `target` in number, or have no more mass than `target` while they and
// it have more. `target` is less than the row's whole. Row has key(column) and mass(key); a block calls it.
template <typename Row>
AJET_DEVICE Selected select(const Row& row, int64_t columns, bool by_count, uint64_t target, SelectionMemory& memory) {
  uint32_t prefix = 0;
  uint64_t mass_above = 0;
#pragma unroll
  for (int pass = 0; pass < 3; ++pass) {
    const int shift = pass == 0 ? 21 : pass == 1 ? 10 : 0, digit_bits = pass == 2 ? 10 : 11, bins = 1 << digit_bits;
    for (int bin = static_cast<int>(threadIdx.x); bin < bins; bin += static_cast<int>(blockDim.x))
      memory.counts[bin] = memory.low[bin] = memory.high[bin] = 0;
    __syncthreads();
    for (int64_t v = threadIdx.x; v < columns; v += blockDim.x) {
      const uint32_t key = row.key(v);
      if (pass > 0 && key >> (shift + digit_bits) != prefix) continue;
      const uint32_t bin = key >> shift & static_cast<uint32_t>(bins - 1);
      const uint64_t mass = row.mass(key);
      const auto low = static_cast<uint32_t>(mass);
      atomicAdd(&memory.counts[bin], 1U);
      const uint32_t carry = atomicAdd(&memory.low[bin], low) + low < low ? 1U : 0U;
      const uint32_t high = static_cast<uint32_t>(mass >> 32) + carry;
      if (high != 0) atomicAdd(&memory.high[bin], high);
    }
    __syncthreads();
    if (warp_index() == 0) find_digit(memory, bins, by_count, target);
    __syncthreads();
    prefix = prefix << digit_bits | memory.digit;
    target -= memory.before;
    mass_above += memory.mass_before;
    __syncthreads();
  }
  const uint64_t mass = row.mass(prefix);
  if (by_count) return {prefix, target, mass_above};
  return {prefix, target / mass, mass_above};
}

}  // namespace ajet::cuda
