#include "cuda_emulator/runtime.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <unordered_map>
#include <utility>

struct CUstream_st {
  std::deque<std::function<void()>> work;
};

struct CUevent_st {
  CUstream_st* stream = nullptr;
  size_t recorded = 0, reached = 0;  // a count of records, and the last of them that the stream came to
};

namespace {

constexpr size_t alignment = 256;
constexpr size_t default_memory = size_t{8} << 30;

struct Device {
  std::unordered_map<void*, size_t> allocations;
  std::unordered_map<void*, int> opened;  // IPC handles
  size_t used = 0;
  size_t limit = default_memory;
};

Device& device() {
  static Device one;
  return one;
}

void run_all(CUstream_st& stream) {
  while (!stream.work.empty()) {
    const std::function<void()> next = std::move(stream.work.front());
    stream.work.pop_front();
    next();
  }
}

void* allocate(size_t bytes) {
  void* data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (data != nullptr) std::memset(data, 0xFF, bytes);  // NaN in every floating-point type
  return data;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
  }
  return "unknown";
}
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }
cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaSetDevice(int chosen) { return chosen == 0 ? cudaSuccess : cudaErrorInvalidValue; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {"emulator", device().limit, 9, 0, 4, 227 << 10, 1 << 20};
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int) {
  std::strncpy(id, "0000:00:00.0", static_cast<size_t>(length));
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = device().limit - device().used;
  *total = device().limit;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  Device& card = device();
  if (bytes > card.limit - card.used || (*data = allocate(bytes)) == nullptr) return cudaErrorMemoryAllocation;
  card.allocations[*data] = bytes;
  card.used += bytes;
  return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  const auto found = device().allocations.find(data);
  if (found == device().allocations.end()) return data == nullptr ? cudaSuccess : cudaErrorInvalidValue;
  device().used -= found->second;
  device().allocations.erase(found);
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t* handle, void* data) {
  if (!device().allocations.contains(data)) return cudaErrorInvalidValue;
  *handle = {};
  std::memcpy(handle->reserved, &data, sizeof(data));
  return cudaSuccess;
}

cudaError_t cudaIpcOpenMemHandle(void** data, cudaIpcMemHandle_t handle, unsigned) {
  std::memcpy(data, handle.reserved, sizeof(*data));
  return device().allocations.contains(*data) ? ++device().opened[*data], cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaIpcCloseMemHandle(void* data) {
  const auto found = device().opened.find(data);
  if (found == device().opened.end()) return cudaErrorInvalidValue;
  if (--found->second == 0) device().opened.erase(found);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
  *data = allocate(bytes);
  return *data == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}

cudaError_t cudaFreeHost(void* data) { return std::free(data), cudaSuccess; }

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  stream->work.emplace_back([=] { std::memmove(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind, cudaStream_t stream) {
  if (to_pitch < width || from_pitch < width) return cudaErrorInvalidValue;
  stream->work.emplace_back([=] {
    for (size_t row = 0; row < height; ++row)
      std::memcpy(static_cast<char*>(to) + row * to_pitch, static_cast<const char*>(from) + row * from_pitch, width);
  });
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  stream->work.emplace_back([=] { std::memset(data, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  run_all(*stream);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return run_all(*stream), cudaSuccess; }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (event->stream != nullptr) cudaEventSynchronize(event);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->stream = stream;
  stream->work.emplace_back([event, record = ++event->recorded] { event->reached = record; });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  while (event->reached < event->recorded) {
    const std::function<void()> next = std::move(event->stream->work.front());
    event->stream->work.pop_front();
    next();
  }
  return cudaSuccess;
}

namespace ajet::emulator {
void enqueue(cudaStream_t stream, std::function<void()> work) { stream->work.push_back(std::move(work)); }
void set_device_memory(size_t bytes) { device().limit = bytes == 0 ? default_memory : bytes; }
}  // namespace ajet::emulator
