// Device memory that another process on the same card maps (CUDA IPC). A handle stands for what cudaMalloc has given, a
// segment of the arena, so the place within it goes beside.
#include <cstring>

#include "backend/cuda/check.h"
#include "backend/cuda/cuda_backend.h"

namespace ajet::cuda {
namespace {

// What another process has given. The card counts how often a handle is open in this process.
class OpenedMemory {
 public:
  OpenedMemory(int device, const cudaIpcMemHandle_t& handle) : device_(device) {
    make_current(device);
    AJET_CUDA(cudaIpcOpenMemHandle(&data_, handle, cudaIpcMemLazyEnablePeerAccess));
  }
  ~OpenedMemory() {
    try {
      make_current(device_);
      AJET_CUDA(cudaIpcCloseMemHandle(data_));
    } catch (...) {  // the driver closes it with the process
    }
  }
  OpenedMemory(const OpenedMemory&) = delete;
  OpenedMemory& operator=(const OpenedMemory&) = delete;

  char* data() const { return static_cast<char*>(data_); }

 private:
  int device_;
  void* data_ = nullptr;
};

}  // namespace

DeviceMemoryHandle CudaBackend::export_memory(const void* data) const {
  static_assert(sizeof(cudaIpcMemHandle_t) == sizeof(DeviceMemoryHandle::bytes));
  make_current(options_.device);
  char* segment = arena_.segment_of(data);
  cudaIpcMemHandle_t handle;
  AJET_CUDA(cudaIpcGetMemHandle(&handle, segment));
  DeviceMemoryHandle out;
  out.offset = static_cast<uint64_t>(static_cast<const char*>(data) - segment);
  std::memcpy(out.bytes, &handle, sizeof(handle));
  return out;
}

Buffer CudaBackend::import_memory(const DeviceMemoryHandle& handle, size_t bytes) {
  cudaIpcMemHandle_t given;
  std::memcpy(&given, handle.bytes, sizeof(given));
  const auto opened = std::make_shared<OpenedMemory>(options_.device, given);
  return Buffer::within(opened, opened->data() + handle.offset, bytes);
}

}  // namespace ajet::cuda
