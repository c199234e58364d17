// The device that the tests of model, engine and trainer run on: the CPU, or what AJET_TEST_DEVICE ("cuda", "cuda:1")
// and AJET_TEST_DTYPE ("float32", "bfloat16") say. In the binaries of the emulator it is the CUDA backend in the
// emulator.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>

#include "backend/device.h"
#if defined(AJET_CUDA_EMULATED)
#include "backend/cuda/cuda_backend.h"
#endif

namespace ajet::test {

inline std::string environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

constexpr bool emulated_device =
#if defined(AJET_CUDA_EMULATED)
    true;
#else
    false;
#endif

// `threads` of the CPU.
inline std::shared_ptr<Backend> test_backend(int threads) {
#if defined(AJET_CUDA_EMULATED)
  static_cast<void>(threads);
  const bool full = environment("AJET_TEST_DTYPE", "bfloat16") == "float32";
  return cuda::make_cuda_backend({.compute_dtype = full ? DType::f32 : DType::bf16});
#else
  return make_backend({.device = environment("AJET_TEST_DEVICE", "cpu"),
                       .dtype = environment("AJET_TEST_DTYPE", ""),
                       .threads = threads})
      .backend;
#endif
}

}  // namespace ajet::test
