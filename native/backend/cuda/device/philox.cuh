// Philox4x32-10 as in base/rng.h: a value depends on (key, counter) alone.
#pragma once

#include "backend/cuda/device/platform.cuh"

namespace ajet::cuda {

// The upper half of a product of 64 bits each.
AJET_DEVICE uint64_t multiply_high(uint64_t a, uint64_t b) {
#if defined(AJET_CUDA_EMULATED)
  return static_cast<uint64_t>((static_cast<unsigned __int128>(a) * b) >> 64);
#else
  return __umul64hi(a, b);
#endif
}

// uniform_double(key, counter) of base/rng.h as a fraction of 2^64.
AJET_DEVICE uint64_t uniform_bits(uint64_t key, uint64_t counter) {
  uint32_t key0 = static_cast<uint32_t>(key), key1 = static_cast<uint32_t>(key >> 32);
  uint32_t c[4] = {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0U, 0U};
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53U} * c[0], p1 = uint64_t{0xCD9E8D57U} * c[2];
    const uint32_t first = static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ key0;
    const uint32_t third = static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ key1;
    c[0] = first;
    c[1] = static_cast<uint32_t>(p1);
    c[2] = third;
    c[3] = static_cast<uint32_t>(p0);
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
  const uint64_t bits = static_cast<uint64_t>(c[1]) << 32 | c[0];
  return bits >> 11 << 11;  // 53 bits
}

}  // namespace ajet::cuda
