#include "fma_peak.h"

#include <immintrin.h>

#include <algorithm>
#include <chrono>

#include "base/thread_pool.h"

namespace ajet {
namespace {

constexpr int64_t rounds = 100'000;

// Ten independent chains hide the latency of an FMA on any machine with two units.
__attribute__((target("avx512f"))) void chains_avx512() {
  __m512 c[10];
  for (int i = 0; i < 10; ++i) c[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 a = _mm512_set1_ps(0.5F);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 10
    for (int i = 0; i < 10; ++i) {
      c[i] = _mm512_fmadd_ps(c[i], a, a);
      __asm__ volatile("" : "+v"(c[i]));
    }
  }
}

__attribute__((target("avx2,fma"))) void chains_avx2() {
  __m256 c[10];
  for (int i = 0; i < 10; ++i) c[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 a = _mm256_set1_ps(0.5F);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 10
    for (int i = 0; i < 10; ++i) {
      c[i] = _mm256_fmadd_ps(c[i], a, a);
      __asm__ volatile("" : "+x"(c[i]));
    }
  }
}

}  // namespace

double fma_peak_gflops(ThreadPool& pool) {
  if (!__builtin_cpu_supports("fma")) return 0;
  const bool wide = __builtin_cpu_supports("avx512f");
  const double flops = 2.0 * 10 * (wide ? 16 : 8) * static_cast<double>(rounds) * pool.threads();
  double best = 1e30;
  for (int attempt = 0; attempt < 50; ++attempt) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(pool.threads(), [&](int64_t) { wide ? chains_avx512() : chains_avx2(); });
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return flops / best * 1e-9;
}

}  // namespace ajet
