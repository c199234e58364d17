#include "backend/cpu/isa.h"

#include <cstdlib>

#include "base/error.h"

namespace ajet::cpu {
namespace {

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

}  // namespace

const Kernels& select_kernels(const std::string& isa) {
  std::string wanted = isa;
  if (wanted.empty()) {
    const char* environment = std::getenv("AJET_ISA");
    if (environment != nullptr) wanted = environment;
  }
  if (wanted.empty()) return has_avx512() ? kernels_avx512() : has_avx2() ? kernels_avx2() : kernels_portable();
  if (wanted == "portable") return kernels_portable();
  if (wanted != "avx2" && wanted != "avx512") {
    fail(ErrorCode::invalid_argument,
         "[cpu] Expected \"portable\", \"avx2\" or \"avx512\" for `isa` but received \"" + wanted + "\"");
  }
  if (!(wanted == "avx2" ? has_avx2() : has_avx512())) {
    fail(ErrorCode::invalid_argument, "[cpu] Expected an instruction set of this machine for `isa` but received \"" +
                                          wanted + "\"; leave it empty to use the best one");
  }
  return wanted == "avx2" ? kernels_avx2() : kernels_avx512();
}

}  // namespace ajet::cpu
