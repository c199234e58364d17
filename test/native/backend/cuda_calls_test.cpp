// Calls of CUDA's that a card refuses, in the emulator: what they are told as, and which card a call means.
#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/device/launch.cuh"
#include "backend_fixture.h"
#include "base/error.h"

namespace ajet::test {
namespace {

ErrorCode code_of(const std::function<void()>& call, const std::string& text) {
  try {
    call();
  } catch (const Error& error) {
    if (std::string(error.what()).find(text) == std::string::npos) throw;
    return error.code();
  }
  fail(ErrorCode::internal, "no error");
}

TEST("cuda calls: a kernel's fault is not taken for memory that is short") {
  const auto backend = cuda::make_cuda_backend({});
  const auto allocate = [&] { static_cast<void>(backend->allocate(size_t{64} << 20)); };
  const auto allocate_host = [&] { static_cast<void>(backend->allocate_host(64)); };
  allocate_host();  // its staging's device memory is there now
  emulator::set_fault(cudaErrorIllegalAddress);
  const ErrorCode device_code = code_of(allocate, "cudaMalloc failed: cudaErrorIllegalAddress");
  const ErrorCode host_code = code_of(allocate_host, "cudaHostAlloc failed: cudaErrorIllegalAddress");
  emulator::set_fault(cudaErrorMemoryAllocation);
  const ErrorCode short_code = code_of(allocate, "there are too few");
  const ErrorCode short_host_code = code_of(allocate_host, "page-locked");
  emulator::set_fault(cudaSuccess);
  CHECK(device_code == ErrorCode::device && host_code == ErrorCode::device);
  CHECK(short_code == ErrorCode::out_of_memory && short_host_code == ErrorCode::out_of_memory);
}

TEST("cuda calls: two cards take turns on one thread, with arrays for which argument rings grow") {
  constexpr int64_t width = 8;
  const Floats table = random_floats(1, 4 * width);
  std::vector<int32_t> rows(100'000);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int32_t>(i % 4);
  const std::shared_ptr<Backend> backends[] = {cuda::make_cuda_backend({.device = 0, .compute_dtype = DType::f32}),
                                               cuda::make_cuda_backend({.device = 1, .compute_dtype = DType::f32})};
  std::vector<DeviceMatrix> sources, picked;
  for (const auto& backend : backends) {
    sources.emplace_back(*backend, 4, width, table);
    picked.emplace_back(*backend, static_cast<int64_t>(rows.size()), width);
  }
  for (size_t card : {0, 1}) {
    for (size_t time = 0; time < 9; ++time) {  // more than fits a part of the ring
      rows[time] = (rows[time] + 1) % 4;
      backends[card]->gather_rows(picked[card], sources[card], rows);
    }
    const Floats values = picked[card].values();
    CHECK_EQ(values[0], table[static_cast<size_t>(rows[0]) * width]);
  }
}

__global__ void mark_shared_end(int bytes) { cuda::dynamic_shared()[bytes - 1] = 1; }

TEST("cuda calls: a kernel keeps the shared memory that it was once given, on each card") {
  const auto start = [](cuda::Stream& stream, int bytes) {
    cuda::launch(stream, {1, 32, bytes}, mark_shared_end, bytes);
  };
  cuda::Stream first(0, false), second(1, false);
  CHECK(cudaStreamBeginCapture(first.handle(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  start(first, 100 << 10);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  CHECK(cudaStreamEndCapture(first.handle(), &graph) == cudaSuccess);
  CHECK(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
  start(first, 60 << 10);
  start(second, 60 << 10);
  CHECK(cudaGraphLaunch(executable, first.handle()) == cudaSuccess);
  first.synchronize();
  second.synchronize();
  static_cast<void>(cudaGraphExecDestroy(executable));
  static_cast<void>(cudaGraphDestroy(graph));

  emulator::Grid grid{{1, 1, 1}, 32, 61 << 10};
  const auto* kernel = reinterpret_cast<const void*>(mark_shared_end);
  CHECK(emulator::launch(kernel, grid, second.handle(), [] {}) == cudaErrorInvalidValue);
}

}  // namespace
}  // namespace ajet::test
