// The stream that all work of a backend is queued on, in call order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>

#include "backend/cuda/check.h"
#include "backend/cuda/kernel_launch.h"

namespace ajet::cuda {

class Stream {
 public:
  // With `synchronous` every kernel is waited for at its launch, so that an error names the kernel that made it.
  Stream(int device, bool synchronous) : device_(device), synchronous_(synchronous) {
    make_current();
    AJET_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  ~Stream() { static_cast<void>(cudaStreamDestroy(stream_)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // What is made on this thread from now on (events, pinned memory) belongs to the stream's card.
  void make_current() const { cuda::make_current(device_); }
  // To queue something now, behind all that a sink holds: makes the stream's card current.
  cudaStream_t handle() const {
    if (sink_ != nullptr) sink_->flush();
    make_current();
    return stream_;
  }
  void synchronize() { AJET_CUDA(cudaStreamSynchronize(handle())); }
  // For destructors: what the work before left is freed all the same.
  void drain() noexcept { static_cast<void>(cudaStreamSynchronize(stream_)); }
  void launch(const KernelLaunch& kernel, const std::source_location& where) {
    if (sink_ != nullptr && sink_->hold(kernel)) return;
    kernel.queue(handle());
    launched(where);
  }
  void launched(const std::source_location& where) {
    if (synchronous_) check(cudaStreamSynchronize(stream_), "a kernel", where);
  }
  bool is_synchronous() const { return synchronous_; }

  // Null: what is launched is queued at once.
  void set_sink(LaunchSink* sink) { sink_ = sink; }
  LaunchSink* sink() const { return sink_; }

 private:
  cudaStream_t stream_ = nullptr;
  LaunchSink* sink_ = nullptr;
  int device_;
  bool synchronous_;
};

class Event {
 public:
  Event() { AJET_CUDA(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  ~Event() { static_cast<void>(cudaEventDestroy(event_)); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(const Stream& stream) { AJET_CUDA(cudaEventRecord(event_, stream.handle())); }
  // What is queued on `stream` from now on runs behind what was recorded.
  void await(const Stream& stream) { AJET_CUDA(cudaStreamWaitEvent(stream.handle(), event_, 0)); }
  void synchronize() { AJET_CUDA(cudaEventSynchronize(event_)); }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace ajet::cuda
