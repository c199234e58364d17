// Every CUDA call is checked: AJET_CUDA(cudaStreamSynchronize(stream)); an error names the call, the file and the line.
#pragma once

#include <initializer_list>
#include <source_location>

#include "backend/cuda/runtime.h"
#include "tensor/tensor.h"

namespace ajet::cuda {

[[noreturn]] void fail_call(cudaError_t error, const char* call, const std::source_location& where);

inline void check(cudaError_t error, const char* call,
                  const std::source_location& where = std::source_location::current()) {
  if (error != cudaSuccess) fail_call(error, call, where);
}

// An op, or a case of one, that this backend does not have.
[[noreturn]] void fail_missing(const char* op, const char* what);

// Kernels that have one element type for all of these.
void require_one_dtype(const char* op, std::initializer_list<Tensor> tensors);

// CUDA's calls mean the card that is current on their thread.
void make_current(int device);

}  // namespace ajet::cuda

#define AJET_CUDA(call) ::ajet::cuda::check((call), #call)
