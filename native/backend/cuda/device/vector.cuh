// Eight elements of a row as floats in registers: 16 bytes of bf16 or 32 of float, in loads of 16 bytes where the
// row allows, element by element elsewhere. The values, and so every result, are the same both ways.
#pragma once

#include "backend/cuda/device/bf16.cuh"

namespace ajet::cuda {

constexpr int vector_width = 8;

template <typename T, int count>
struct alignas(sizeof(T) * count) Pack {
  T values[count];
};

// Whether rows of this stride that start here may be read in vectors; decided on the host, once a launch.
template <typename T>
inline bool is_vectorizable(const T* data, int64_t stride) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride * static_cast<int64_t>(sizeof(T)) % 16 == 0;
}

// Elements [0, count) of data, zeros behind; count may be 8 or more.
template <typename T>
AJET_DEVICE void load8(float (&out)[vector_width], const T* data, int64_t count, bool vectorized) {
  if (vectorized && count >= vector_width) {
    constexpr int pack = 16 / static_cast<int>(sizeof(T));
#pragma unroll
    for (int i = 0; i < vector_width; i += pack) {
      const auto packed = *reinterpret_cast<const Pack<T, pack>*>(data + i);
#pragma unroll
      for (int j = 0; j < pack; ++j) out[i + j] = to_float(packed.values[j]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < vector_width; ++i) out[i] = i < count ? to_float(data[i]) : 0.0F;
  }
}

// What other blocks of the running kernel have written (before a fence): past this multiprocessor's own cache.
template <typename T>
AJET_DEVICE T load_from_l2(const T* from) {
  static_assert(sizeof(T) == 16);
#if defined(AJET_CUDA_EMULATED)
  return *from;
#else
  const float4 values = __ldcg(reinterpret_cast<const float4*>(from));
  T result;
  memcpy(&result, &values, sizeof(result));
  return result;
#endif
}

template <typename T>
AJET_DEVICE void store8(T* data, const float (&values)[vector_width], int64_t count, bool vectorized) {
  if (vectorized && count >= vector_width) {
    constexpr int pack = 16 / static_cast<int>(sizeof(T));
#pragma unroll
    for (int i = 0; i < vector_width; i += pack) {
      Pack<T, pack> packed;
#pragma unroll
      for (int j = 0; j < pack; ++j) packed.values[j] = from_float<T>(values[i + j]);
      *reinterpret_cast<Pack<T, pack>*>(data + i) = packed;
    }
  } else {
#pragma unroll
    for (int i = 0; i < vector_width; ++i)
      if (i < count) data[i] = from_float<T>(values[i]);
  }
}

}  // namespace ajet::cuda
