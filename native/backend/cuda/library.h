// What libajet_cuda offers to the addon, which opens it at run time: one symbol. No header of CUDA's is needed here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace ajet::cuda {

struct CudaOptions {
  int device = 0;
  DType compute_dtype = DType::bf16;  // f32: everything in fp32, slow, to check with
  size_t memory_limit_bytes = 0;      // 0: as much as the card gives
  bool warpgroup_products = false;    // forward products by wgmma; an error on cards that lack it
};

struct CudaDevice {
  std::string name;
  size_t memory_bytes = 0;
  int major = 0, minor = 0;        // compute capability
  int64_t block_shared_bytes = 0;  // shared memory that a block may have
  std::string problem;             // why it cannot be used; empty where it can
  std::string pci_bus_id;          // "0000:3b:00.0": one name in all processes
};

struct CudaProbe {
  int driver_version = 0;     // 13000 is 13.0; 0: no driver answers
  int runtime_version = 0;    // that the library was built with
  std::string architectures;  // that the library has code for: "80+, 90a, 120", see has_code_for()
  std::string cublaslt;       // the library that gradient products use, or why it was not found
  bool cublaslt_found = false;
  std::vector<CudaDevice> devices;
  std::string problem;  // why no device can be used; empty where there is one
};

struct CudaLibrary {
  CudaProbe (*probe)();
  std::shared_ptr<Backend> (*make_backend)(const CudaOptions& options);
};

}  // namespace ajet::cuda

// Null where the library was built from other headers than its caller (AJET_CUDA_ABI, see CMakeLists.txt): then neither
// may use the other's types.
extern "C" const ajet::cuda::CudaLibrary* ajet_cuda_library(const char* abi);
