#include "backend/cuda/graph_recorder.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/error.h"

namespace ajet::cuda {
namespace {
constexpr size_t alignment = 256;
constexpr size_t first_block = size_t{64} << 10;
}  // namespace

GraphRecorder::GraphRecorder(Stream& stream, DeviceArena& arena, Transfers& transfers, bool enabled)
    : stream_(stream),
      arena_(arena),
      transfers_(transfers),
      enabled_(enabled),
      arguments_{.wanted = first_block},
      scratch_{.wanted = first_block} {}

GraphRecorder::~GraphRecorder() { release(); }

void GraphRecorder::Recording::clear() {
  launches.clear();
  arguments = {};
  graph.reset();
}

// ---- memory ---------------------------------------------------------------------------------------------

// Graphs over the old memory are not queued again: their launches have other arguments than those to come.
bool GraphRecorder::reserve(Block& block) {
  if (block.bytes >= block.wanted) return true;
  free(block);
  const size_t bytes = std::bit_ceil(block.wanted);
  try {
    block.data = static_cast<char*>(arena_.allocate(bytes));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::out_of_memory) throw;
    return false;
  }
  block.bytes = bytes;
  return true;
}

void GraphRecorder::free(Block& block) noexcept {
  if (block.data != nullptr) arena_.free(block.data, block.bytes);
  block.data = nullptr;
  block.bytes = 0;
}

void* GraphRecorder::take_scratch(size_t bytes) {
  if (held_ == nullptr) return nullptr;
  const size_t offset = scratch_used_, end = offset + (bytes + alignment - 1) / alignment * alignment;
  if (end > scratch_.bytes) {
    scratch_.wanted = std::max(scratch_.wanted, 2 * end);
    flush();
    return nullptr;
  }
  scratch_used_ = end;
  ++scratch_holders_;
  return scratch_.data + offset;
}

void GraphRecorder::give_scratch_back() noexcept {
  if (--scratch_holders_ == 0) scratch_used_ = 0;
}

void GraphRecorder::release() noexcept {
  if (held_ != nullptr) {
    try {
      flush();
    } catch (...) {  // an error of the device, which whoever waits next is told of
    }
  }
  for (auto& [key, recording] : recordings_) recording.clear();
  if (running_) return;  // the op at hand may be using it
  free(arguments_);
  free(scratch_);
}

// ---- running --------------------------------------------------------------------------------------------

void GraphRecorder::run(const RecordingKey& key, const std::function<void()>& work) {
  if (!enabled_ || running_) return work();
  const auto [found, is_new] = recordings_.try_emplace(key);
  found->second.last_run = ++runs_;
  if (is_new) {
    if (recordings_.size() > max_graphs) forget_oldest();
    return work();
  }
  const Running guard(running_);
  if (reserve(arguments_) && reserve(scratch_)) start(found->second);
  try {
    work();
    if (held_ != nullptr) finish();
  } catch (...) {
    if (held_ != nullptr) flush();  // the host counts on what it has launched
    throw;
  }
}

void GraphRecorder::start(Recording& recording) {
  host_arguments_.resize(arguments_.bytes);
  recording.arguments.rewind();
  held_ = &recording;
  comparing_ = recording.graph != nullptr;
  next_launch_ = 0;
  stream_.set_sink(this);
}

bool GraphRecorder::hold(const KernelLaunch& launch) {
  auto& launches = held_->launches;
  if (!comparing_) {
    launches.push_back(launch.clone());
  } else if (next_launch_ == launches.size() || !launch.equals(*launches[next_launch_])) {
    flush();
    return false;
  }
  ++next_launch_;
  return true;
}

const void* GraphRecorder::hold_argument(const void* values, size_t bytes) {
  ArgumentSlots& slots = held_->arguments;
  const auto offset =
      comparing_ ? slots.refill(host_arguments_, values, bytes) : slots.place(host_arguments_, values, bytes);
  if (offset) return arguments_.data + *offset;
  if (!comparing_) arguments_.wanted = std::max(arguments_.wanted, 2 * (slots.block_bytes() + 2 * bytes));
  flush();
  return nullptr;
}

void GraphRecorder::send_arguments(const Recording& recording) {
  transfers_.upload(arguments_.data, host_arguments_.data(), recording.arguments.block_bytes());
}

GraphRecorder::Recording& GraphRecorder::stop() {
  stream_.set_sink(nullptr);
  return *std::exchange(held_, nullptr);
}

void GraphRecorder::flush() {
  Recording& recording = stop();
  send_arguments(recording);
  for (size_t i = 0; i < next_launch_; ++i) recording.launches[i]->queue(stream_.handle());
  recording.clear();
}

void GraphRecorder::finish() {
  if (comparing_ && next_launch_ < held_->launches.size()) return flush();
  if (!comparing_) {
    try {
      held_->graph = capture(*held_);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::out_of_memory) throw;
      return flush();
    }
  }
  const Recording& recording = stop();
  send_arguments(recording);
  AJET_CUDA(cudaGraphLaunch(recording.graph.get(), stream_.handle()));
}

GraphRecorder::Graph GraphRecorder::capture(const Recording& recording) {
  stream_.set_sink(nullptr);
  cudaStream_t stream = stream_.handle();
  cudaGraph_t captured = nullptr;
  AJET_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  try {
    for (const auto& launch : recording.launches) launch->queue(stream);
  } catch (...) {
    static_cast<void>(cudaStreamEndCapture(stream, &captured));
    static_cast<void>(cudaGraphDestroy(captured));
    throw;
  }
  AJET_CUDA(cudaStreamEndCapture(stream, &captured));
  cudaGraphExec_t graph = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&graph, captured, 0);
  static_cast<void>(cudaGraphDestroy(captured));
  check(error, "cudaGraphInstantiate");
  return Graph(graph);
}

void GraphRecorder::forget_oldest() {
  recordings_.erase(std::ranges::min_element(recordings_, {}, [](const auto& entry) { return entry.second.last_run; }));
}

}  // namespace ajet::cuda
