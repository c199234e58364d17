// A kernel with its grid and arguments: to be queued, kept for later, and compared with another. Made by launch() alone
// (device/launch.cuh).
#pragma once

#include <memory>

#include "backend/cuda/runtime.h"

namespace ajet::cuda {

class KernelLaunch {
 public:
  virtual ~KernelLaunch() = default;
  virtual void queue(cudaStream_t stream) const = 0;
  virtual std::unique_ptr<KernelLaunch> clone() const = 0;
  virtual bool equals(const KernelLaunch& other) const = 0;
};

// Takes over what is queued on a stream, for as long as it is the stream's sink.
class LaunchSink {
 public:
  virtual ~LaunchSink() = default;
  // False: it is the stream's sink no longer, and the launch is to be queued.
  virtual bool hold(const KernelLaunch& launch) = 0;
  // Device memory that has these bytes when the kernels run that are held after this call; null: as above.
  virtual const void* hold_argument(const void* values, size_t bytes) = 0;
  // Queues all that is held, and is the stream's sink no longer.
  virtual void flush() = 0;
};

}  // namespace ajet::cuda
