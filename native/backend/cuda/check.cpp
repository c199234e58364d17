#include "backend/cuda/check.h"

#include <string>

#include "base/error.h"

namespace ajet::cuda {

void fail_call(cudaError_t error, const char* call, const std::source_location& where) {
  static_cast<void>(cudaGetLastError());  // clears what is not sticky
  const std::string path = where.file_name();
  fail(error == cudaErrorMemoryAllocation ? ErrorCode::out_of_memory : ErrorCode::device,
       std::string("[cuda] ") + call + " failed: " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) +
           ") at " + path.substr(path.rfind('/') + 1) + ":" + std::to_string(where.line()));
}

void require_one_dtype(const char* op, std::initializer_list<Tensor> tensors) {
  for (const Tensor& tensor : tensors)
    if (tensor.dtype != tensors.begin()->dtype) fail_missing(op, "kernel for tensors of different types");
}

void make_current(int device) {
  thread_local int current = -1;
  if (current == device) return;
  AJET_CUDA(cudaSetDevice(device));
  current = device;
}

void fail_missing(const char* op, const char* what) {
  fail(ErrorCode::internal, std::string("[") + op + "] The CUDA backend has no " + what);
}

}  // namespace ajet::cuda
