#include "backend/cuda/library.h"

#include <cstring>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/probe.h"

extern "C" __attribute__((visibility("default"))) const ajet::cuda::CudaLibrary* ajet_cuda_library(const char* abi) {
  static const ajet::cuda::CudaLibrary library{ajet::cuda::probe, ajet::cuda::make_cuda_backend};
  return std::strcmp(abi, AJET_CUDA_ABI) == 0 ? &library : nullptr;
}
