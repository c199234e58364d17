// Which device a model runs on: the one place that turns "auto", "cpu", "cuda" or "cuda:1" into a backend.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"
#include "backend/cuda/library.h"

namespace ajet {

struct DeviceRequest {
  std::string device = "auto";    // "auto", "cpu", "cuda", "cuda:N"
  std::string dtype = {};         // "float32" or "bfloat16"; "": the device's own, bfloat16 on CUDA
  int threads = 0;                // of the CPU; 0: one per core
  std::string isa = {};           // of the CPU; "": the best
  size_t memory_limit_bytes = 0;  // of the device's memory; 0: all there is
};

struct DeviceChoice {
  std::shared_ptr<Backend> backend;
  std::string why_not_cuda;  // one line, where "auto" took the CPU; else empty
};

// Throws device where CUDA was asked for by name and cannot be used.
DeviceChoice make_backend(const DeviceRequest& request);

// How the device that the request chooses lays out a model. A card that is asked for by name need not be there.
std::shared_ptr<const StorageFormat> storage_format(const DeviceRequest& request);

// The `device` of a request for the one that Backend::shared_device() names: "cpu", "cuda:1". Throws device where this
// process cannot use it.
std::string device_of(const std::string& shared_device);

struct CudaSupport {
  bool built = false;  // libajet_cuda lies beside the addon and loads
  cuda::CudaProbe probe;
  std::string problem;  // why CUDA cannot be used; empty where it can
};

// Opens libajet_cuda at the first call. It stays open: it may own memory of the card until the process ends.
const CudaSupport& cuda_support();

}  // namespace ajet
