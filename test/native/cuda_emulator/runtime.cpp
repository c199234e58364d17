#include "cuda_emulator/runtime.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cuda_emulator/machine.h"

struct CUevent_st {
  int card;
  CUstream_st* stream = nullptr;
  size_t recorded = 0, reached = 0;  // a count of records, and the last of them that the stream came to
};

namespace {

struct Work {
  std::function<void()> run;
  CUevent_st* awaited = nullptr;  // with its record: what another stream has to come to before
  size_t record = 0;
};

}  // namespace

struct CUgraph_st {
  std::vector<Work> work;
};

struct CUgraphExec_st {
  std::vector<Work> work;
};

struct CUstream_st {
  int card;
  std::deque<Work> work = {};
  CUgraph_st* capture = nullptr;  // where work goes instead

  void add(Work next);
  void add(std::function<void()> run) { add(Work{std::move(run)}); }
};

namespace {

constexpr size_t alignment = 256;
constexpr size_t default_memory = size_t{8} << 30;
constexpr int cards = 2;
thread_local int current_card = 0;

struct Device {
  std::map<const char*, size_t> allocations;
  std::unordered_map<void*, int> opened;                 // IPC handles
  std::map<std::pair<int, const void*>, size_t> shared;  // dynamic bytes, by card and kernel
  size_t used = 0;
  size_t limit = default_memory;
  cudaError_t fault = cudaSuccess;
};

Device& device() {
  static Device one;
  return one;
}

// Where `data` is device memory.
bool on_device(const void* data) {
  const auto& allocations = device().allocations;
  const auto* const place = static_cast<const char*>(data);
  auto after = allocations.upper_bound(place);
  if (after == allocations.begin()) return false;
  --after;
  return place < after->first + after->second;
}

struct Progress {
  std::vector<CUstream_st*> streams;  // all there are
  std::mt19937_64 draw;
  bool ahead = false;
};

struct RefusedCopy {
  size_t left = 0;
  cudaMemcpyKind kind = cudaMemcpyDefault;
};

Progress& progress() {
  static Progress one;
  return one;
}

void run_to(CUevent_st& event, size_t record);

void run_next(CUstream_st& stream) {
  const Work next = std::move(stream.work.front());
  stream.work.pop_front();
  if (next.awaited != nullptr) run_to(*next.awaited, next.record);
  next.run();
}

void run_to(CUevent_st& event, size_t record) {
  while (event.reached < record) run_next(*event.stream);
}

void run_all(CUstream_st& stream) {
  while (!stream.work.empty()) run_next(stream);
}

void run_some_ahead() {
  auto& [streams, draw, ahead] = progress();
  for (size_t steps = draw() % 4; steps > 0; --steps) {
    CUstream_st& stream = *streams[draw() % streams.size()];
    if (stream.work.empty()) continue;
    const Work& next = stream.work.front();
    if (next.awaited == nullptr || next.awaited->reached >= next.record) run_next(stream);
  }
}

ajet::emulator::GraphCounts counts;

RefusedCopy& refused_copy() {
  static RefusedCopy one;
  return one;
}

bool is_refused(cudaMemcpyKind kind) {
  RefusedCopy& copy = refused_copy();
  return kind == copy.kind && copy.left > 0 && --copy.left == 0;
}

// As the runtime has it for memory that it knows; pageable memory counts as the host's.
bool fits(cudaMemcpyKind kind, const void* to, const void* from) {
  switch (kind) {
    case cudaMemcpyHostToDevice: return on_device(to) && !on_device(from);
    case cudaMemcpyDeviceToHost: return !on_device(to) && on_device(from);
    case cudaMemcpyDeviceToDevice: return on_device(to) && on_device(from);
    case cudaMemcpyDefault: return true;
  }
  return false;
}

bool may_have(int card, const void* kernel, size_t shared_bytes) {
  constexpr size_t without_asking = (size_t{48} << 10) - ajet::emulator::static_shared_bytes;
  const auto found = device().shared.find({card, kernel});
  return shared_bytes <= (found == device().shared.end() ? without_asking : found->second);
}

void* allocate(size_t bytes) {
  void* data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (data != nullptr) std::memset(data, 0xFF, bytes);  // NaN in every floating-point type
  return data;
}

}  // namespace

void CUstream_st::add(Work next) {
  if (capture != nullptr) return capture->work.push_back(std::move(next));
  work.push_back(std::move(next));
  if (progress().ahead) run_some_ahead();
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
    case cudaErrorIllegalAddress: return "cudaErrorIllegalAddress";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
  }
  return "unknown";
}
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }
cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = cards, cudaSuccess; }
cudaError_t cudaGetDevice(int* chosen) { return *chosen = current_card, cudaSuccess; }
cudaError_t cudaSetDevice(int chosen) {
  if (chosen < 0 || chosen >= cards) return cudaErrorInvalidDevice;
  return current_card = chosen, cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {"emulator", device().limit, 9, 0, 4, ajet::emulator::shared_limit(), 1 << 20};
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int card) {
  std::snprintf(id, static_cast<size_t>(length), "0000:00:%02d.0", card);
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  const size_t room = ajet::emulator::shared_limit() - ajet::emulator::static_shared_bytes;
  if (value < 0 || static_cast<size_t>(value) > room) return cudaErrorInvalidValue;
  device().shared[{current_card, kernel}] = static_cast<size_t>(value);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = device().limit - device().used;
  *total = device().limit;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  Device& card = device();
  if (card.fault != cudaSuccess) return card.fault;
  if (bytes > card.limit - card.used || (*data = allocate(bytes)) == nullptr) return cudaErrorMemoryAllocation;
  card.allocations[static_cast<char*>(*data)] = bytes;
  card.used += bytes;
  return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  const auto found = device().allocations.find(static_cast<char*>(data));
  if (found == device().allocations.end()) return data == nullptr ? cudaSuccess : cudaErrorInvalidValue;
  device().used -= found->second;
  device().allocations.erase(found);
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t* handle, void* data) {
  if (!device().allocations.contains(static_cast<char*>(data))) return cudaErrorInvalidValue;
  *handle = {};
  std::memcpy(handle->reserved, &data, sizeof(data));
  return cudaSuccess;
}

cudaError_t cudaIpcOpenMemHandle(void** data, cudaIpcMemHandle_t handle, unsigned) {
  std::memcpy(data, handle.reserved, sizeof(*data));
  if (!device().allocations.contains(static_cast<char*>(*data))) return cudaErrorInvalidValue;
  return ++device().opened[*data], cudaSuccess;
}

cudaError_t cudaIpcCloseMemHandle(void* data) {
  const auto found = device().opened.find(data);
  if (found == device().opened.end()) return cudaErrorInvalidValue;
  if (--found->second == 0) device().opened.erase(found);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
  if (device().fault != cudaSuccess) return device().fault;
  *data = allocate(bytes);
  return *data == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}

cudaError_t cudaFreeHost(void* data) { return std::free(data), cudaSuccess; }

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (is_refused(kind) || !fits(kind, to, from)) return cudaErrorInvalidValue;
  stream->add([=] { std::memmove(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  if (to_pitch < width || from_pitch < width || !fits(kind, to, from)) return cudaErrorInvalidValue;
  stream->add([=] {
    for (size_t row = 0; row < height; ++row)
      std::memcpy(static_cast<char*>(to) + row * to_pitch, static_cast<const char*>(from) + row * from_pitch, width);
  });
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  stream->add([=] { std::memset(data, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  progress().streams.push_back(*stream = new CUstream_st{current_card});
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  run_all(*stream);
  std::erase(progress().streams, stream);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
  return run_all(*stream), cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream->capture != nullptr) return cudaErrorInvalidValue;
  stream->capture = new CUgraph_st;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = std::exchange(stream->capture, nullptr);
  return *graph != nullptr ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  ++counts.instantiated;
  *executable = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  ++counts.launched;
  for (const Work& work : executable->work) stream->add(work);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  ++counts.destroyed;
  delete executable;
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  stream->add(Work{[] {}, event, event->recorded});
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st{current_card};
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (event->stream != nullptr) cudaEventSynchronize(event);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (stream->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
  if (event->card != stream->card) return cudaErrorInvalidResourceHandle;
  event->stream = stream;
  stream->add([event, record = ++event->recorded] { event->reached = record; });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  run_to(*event, event->recorded);
  return cudaSuccess;
}

namespace ajet::emulator {
void enqueue(cudaStream_t stream, std::function<void()> work) { stream->add(std::move(work)); }
cudaError_t launch(const void* kernel, const Grid& grid, cudaStream_t stream, std::function<void()> body) {
  const auto allowed = [=, card = stream->card] { return may_have(card, kernel, grid.shared_bytes); };
  if (!allowed()) return cudaErrorInvalidValue;
  stream->add([=, body = std::move(body)] {
    if (!allowed()) fault("a kernel whose shared memory was lowered after its launch");
    run_grid(grid, body);
  });
  return cudaSuccess;
}
GraphCounts graph_counts() { return counts; }
void set_device_memory(size_t bytes) { device().limit = bytes == 0 ? default_memory : bytes; }
void set_fault(cudaError_t error) { device().fault = error; }
void set_progress(uint64_t seed) {
  progress().ahead = seed != 0;
  progress().draw.seed(seed);
}
void set_failing_copy(size_t count, cudaMemcpyKind kind) { refused_copy() = {count, kind}; }
}  // namespace ajet::emulator
