// bfloat16 as storage; arithmetic is in float. Conversion rounds to nearest, ties to even.
#pragma once

#include <cstring>

#include "backend/cuda/device/platform.cuh"

namespace ajet::cuda {

struct bf16 {
  uint16_t bits;
};

AJET_DEVICE uint32_t float_bits(float value) {
#if defined(AJET_CUDA_EMULATED)
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
#else
  return __float_as_uint(value);
#endif
}

AJET_DEVICE float bits_float(uint32_t bits) {
#if defined(AJET_CUDA_EMULATED)
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
#else
  return __uint_as_float(bits);
#endif
}

AJET_DEVICE float to_float(float value) { return value; }
AJET_DEVICE float to_float(bf16 value) { return bits_float(static_cast<uint32_t>(value.bits) << 16); }

AJET_DEVICE bf16 to_bf16(float value) {
#if defined(AJET_CUDA_EMULATED)
  const uint32_t bits = float_bits(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return {0x7FFF};  // NaN
  return {static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16)};
#else
  bf16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
#endif
}

// Two bf16 in one register, as mma and ldmatrix have them: `low` at the lower address.
AJET_DEVICE uint32_t pack_bf16(float low, float high) {
#if defined(AJET_CUDA_EMULATED)
  return to_bf16(low).bits | static_cast<uint32_t>(to_bf16(high).bits) << 16;
#else
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#endif
}

AJET_DEVICE float low_float(uint32_t pair) { return bits_float(pair << 16); }
AJET_DEVICE float high_float(uint32_t pair) { return bits_float(pair & 0xFFFF0000U); }

template <typename T>
AJET_DEVICE T from_float(float value);
template <>
AJET_DEVICE float from_float<float>(float value) {
  return value;
}
template <>
AJET_DEVICE bf16 from_float<bf16>(float value) {
  return to_bf16(value);
}

}  // namespace ajet::cuda
