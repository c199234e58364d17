// Sixteen floats, for kernel files that are compiled once per instruction set (see CMakeLists.txt: AJET_ISA
// names the inner namespace). Each lane sees the same sequence of IEEE operations on every instruction set;
// avx2 and avx512 agree to the last bit, portable rounds fma() twice.
// Kernel files include no standard header with inline functions: an AVX copy of one could be linked anywhere.
#pragma once

#include <cstdint>

#if defined(__AVX2__) && defined(__FMA__)
#define AJET_SIMD_AVX2 1
#include <immintrin.h>
#endif
#if defined(AJET_SIMD_AVX2) && defined(__AVX512F__) && defined(__AVX512DQ__)
#define AJET_SIMD_AVX512 1
#endif

namespace ajet::cpu::AJET_ISA {

#define AJET_INLINE static inline __attribute__((always_inline))

#if defined(AJET_SIMD_AVX512)

struct F32x16 {
  __m512 v;
};
AJET_INLINE __mmask16 first_lanes(int n) { return static_cast<__mmask16>((1U << n) - 1U); }
AJET_INLINE F32x16 zero() { return {_mm512_setzero_ps()}; }
AJET_INLINE F32x16 broadcast(float x) { return {_mm512_set1_ps(x)}; }
AJET_INLINE F32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
AJET_INLINE void store(float* p, F32x16 a) { _mm512_storeu_ps(p, a.v); }
// The first n lanes (0 <= n <= 16); the others are `fill` and their memory is not touched.
AJET_INLINE F32x16 load_partial(const float* p, int n, float fill = 0.0F) {
  return {_mm512_mask_loadu_ps(_mm512_set1_ps(fill), first_lanes(n), p)};
}
AJET_INLINE void store_partial(float* p, F32x16 a, int n) { _mm512_mask_storeu_ps(p, first_lanes(n), a.v); }
AJET_INLINE F32x16 add(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
AJET_INLINE F32x16 sub(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
AJET_INLINE F32x16 mul(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
AJET_INLINE F32x16 div(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
AJET_INLINE F32x16 sqrt(F32x16 a) { return {_mm512_sqrt_ps(a.v)}; }
// max and min return b where either is NaN.
AJET_INLINE F32x16 max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
AJET_INLINE F32x16 min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
AJET_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }    // a*b + c
AJET_INLINE F32x16 fnma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }  // c - a*b
AJET_INLINE F32x16 round_even(F32x16 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// 2^a for integral a in [-126, 127].
AJET_INLINE F32x16 exp2_integral(F32x16 a) {
  const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(a.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23))};
}
// a where x >= limit or x is NaN, else 0.
AJET_INLINE F32x16 zero_below(F32x16 a, F32x16 x, F32x16 limit) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, limit.v, _CMP_NLT_UQ), a.v)};
}
AJET_INLINE __m256 low_half(F32x16 a) { return _mm512_castps512_ps256(a.v); }
AJET_INLINE __m256 high_half(F32x16 a) { return _mm512_extractf32x8_ps(a.v, 1); }

#elif defined(AJET_SIMD_AVX2)

struct F32x16 {
  __m256 lo, hi;
};
AJET_INLINE __m256i first_lanes8(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
AJET_INLINE F32x16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
AJET_INLINE F32x16 broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
AJET_INLINE F32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
AJET_INLINE void store(float* p, F32x16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
// The first n lanes (0 <= n <= 16); the others are `fill` and their memory is not touched.
AJET_INLINE F32x16 load_partial(const float* p, int n, float fill = 0.0F) {
  const __m256i lo = first_lanes8(n), hi = first_lanes8(n - 8);
  const __m256 other = _mm256_set1_ps(fill);
  return {_mm256_blendv_ps(other, _mm256_maskload_ps(p, lo), _mm256_castsi256_ps(lo)),
          _mm256_blendv_ps(other, _mm256_maskload_ps(p + 8, hi), _mm256_castsi256_ps(hi))};
}
AJET_INLINE void store_partial(float* p, F32x16 a, int n) {
  _mm256_maskstore_ps(p, first_lanes8(n), a.lo);
  _mm256_maskstore_ps(p + 8, first_lanes8(n - 8), a.hi);
}
AJET_INLINE F32x16 add(F32x16 a, F32x16 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
AJET_INLINE F32x16 sub(F32x16 a, F32x16 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
AJET_INLINE F32x16 mul(F32x16 a, F32x16 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
AJET_INLINE F32x16 div(F32x16 a, F32x16 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
AJET_INLINE F32x16 sqrt(F32x16 a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
// max and min return b where either is NaN.
AJET_INLINE F32x16 max(F32x16 a, F32x16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
AJET_INLINE F32x16 min(F32x16 a, F32x16 b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
AJET_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {  // a*b + c
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
AJET_INLINE F32x16 fnma(F32x16 a, F32x16 b, F32x16 c) {  // c - a*b
  return {_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)};
}
AJET_INLINE F32x16 round_even(F32x16 a) {
  return {_mm256_round_ps(a.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(a.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
AJET_INLINE __m256 exp2_integral8(__m256 a) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(a), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
// 2^a for integral a in [-126, 127].
AJET_INLINE F32x16 exp2_integral(F32x16 a) { return {exp2_integral8(a.lo), exp2_integral8(a.hi)}; }
// a where x >= limit or x is NaN, else 0.
AJET_INLINE F32x16 zero_below(F32x16 a, F32x16 x, F32x16 limit) {
  return {_mm256_and_ps(_mm256_cmp_ps(x.lo, limit.lo, _CMP_NLT_UQ), a.lo),
          _mm256_and_ps(_mm256_cmp_ps(x.hi, limit.hi, _CMP_NLT_UQ), a.hi)};
}
AJET_INLINE __m256 low_half(F32x16 a) { return a.lo; }
AJET_INLINE __m256 high_half(F32x16 a) { return a.hi; }

#else

struct F32x16 {
  float v[16];
};
template <typename Operation>
AJET_INLINE F32x16 each_lane(Operation operation) {
  F32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i] = operation(i);
  return r;
}
AJET_INLINE F32x16 broadcast(float x) {
  return each_lane([=](int) { return x; });
}
AJET_INLINE F32x16 zero() { return broadcast(0.0F); }
AJET_INLINE F32x16 load(const float* p) {
  return each_lane([=](int i) { return p[i]; });
}
AJET_INLINE void store(float* p, F32x16 a) {
  for (int i = 0; i < 16; ++i) p[i] = a.v[i];
}
// The first n lanes (0 <= n <= 16); the others are `fill` and their memory is not touched.
AJET_INLINE F32x16 load_partial(const float* p, int n, float fill = 0.0F) {
  return each_lane([=](int i) { return i < n ? p[i] : fill; });
}
AJET_INLINE void store_partial(float* p, F32x16 a, int n) {
  for (int i = 0; i < n; ++i) p[i] = a.v[i];
}
AJET_INLINE F32x16 add(F32x16 a, F32x16 b) {
  return each_lane([&](int i) { return a.v[i] + b.v[i]; });
}
AJET_INLINE F32x16 sub(F32x16 a, F32x16 b) {
  return each_lane([&](int i) { return a.v[i] - b.v[i]; });
}
AJET_INLINE F32x16 mul(F32x16 a, F32x16 b) {
  return each_lane([&](int i) { return a.v[i] * b.v[i]; });
}
AJET_INLINE F32x16 div(F32x16 a, F32x16 b) {
  return each_lane([&](int i) { return a.v[i] / b.v[i]; });
}
AJET_INLINE F32x16 sqrt(F32x16 a) {
  return each_lane([&](int i) { return __builtin_sqrtf(a.v[i]); });
}
// max and min return b where either is NaN.
AJET_INLINE F32x16 max(F32x16 a, F32x16 b) {
  return each_lane([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
AJET_INLINE F32x16 min(F32x16 a, F32x16 b) {
  return each_lane([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
AJET_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {  // a*b + c
  return each_lane([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
}
AJET_INLINE F32x16 fnma(F32x16 a, F32x16 b, F32x16 c) {  // c - a*b
  return each_lane([&](int i) { return c.v[i] - a.v[i] * b.v[i]; });
}
// |a| < 2^22: adding and taking away 1.5 * 2^23 rounds to the nearest integer, ties to even.
AJET_INLINE F32x16 round_even(F32x16 a) {
  return each_lane([&](int i) { return (a.v[i] + 12582912.0F) - 12582912.0F; });
}
// 2^a for integral a in [-126, 127].
AJET_INLINE F32x16 exp2_integral(F32x16 a) {
  return each_lane([&](int i) {
    // A NaN has no integer: keep it out of the conversion; it comes back through the polynomial.
    const int32_t exponent = a.v[i] == a.v[i] ? static_cast<int32_t>(a.v[i]) : 0;
    return __builtin_bit_cast(float, (exponent + 127) << 23);
  });
}
// a where x >= limit or x is NaN, else 0.
AJET_INLINE F32x16 zero_below(F32x16 a, F32x16 x, F32x16 limit) {
  return each_lane([&](int i) { return x.v[i] < limit.v[i] ? 0.0F : a.v[i]; });
}

#endif

// The tree of a horizontal reduction is fixed: lanes i and i + 8, then i + 4, i + 2, i + 1.
#if defined(AJET_SIMD_AVX2)
AJET_INLINE float sum(F32x16 a) {
  const __m256 eight = _mm256_add_ps(low_half(a), high_half(a));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
AJET_INLINE float max_lane(F32x16 a) {
  const __m256 eight = _mm256_max_ps(low_half(a), high_half(a));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
#else
AJET_INLINE float sum(F32x16 a) {
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) a.v[i] += a.v[i + width];
  return a.v[0];
}
AJET_INLINE float max_lane(F32x16 a) {
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) a.v[i] = a.v[i] > a.v[i + width] ? a.v[i] : a.v[i + width];
  return a.v[0];
}
#endif

// e^x to about 1 ulp (Cephes expf): x = n ln 2 + r, polynomial in r, scaled by 2^n. Below -87.33, where the result
// would be subnormal, and for -inf: 0. Above 88.37 the result stays at e^88.37. NaN gives NaN.
AJET_INLINE F32x16 exp(F32x16 x) {
  const F32x16 lowest = broadcast(-87.33F);
  const F32x16 clamped = min(broadcast(88.37F), max(lowest, x));
  const F32x16 n = round_even(mul(clamped, broadcast(1.44269504088896341F)));
  const F32x16 r = fnma(n, broadcast(-2.12194440e-4F), fnma(n, broadcast(0.693359375F), clamped));
  F32x16 p = broadcast(1.9875691500e-4F);
  p = fma(p, r, broadcast(1.3981999507e-3F));
  p = fma(p, r, broadcast(8.3334519073e-3F));
  p = fma(p, r, broadcast(4.1665795894e-2F));
  p = fma(p, r, broadcast(1.6666665459e-1F));
  p = fma(p, r, broadcast(5.0000001201e-1F));
  const F32x16 e = add(fma(p, mul(r, r), r), broadcast(1.0F));
  return zero_below(mul(e, exp2_integral(n)), x, lowest);
}

}  // namespace ajet::cpu::AJET_ISA
