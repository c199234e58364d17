// A fixed set of worker threads for data-parallel loops. The calling thread takes part. Workers spin
// briefly after a job, then sleep, so that Node, HTTP and Python get the cores between steps.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace ajet {

class ThreadPool {
 public:
  // threads >= 1, the caller included; 0 means one per core.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const noexcept;

  // Calls task(i) once for every i in [0, count); which thread runs it is not defined, so a task's
  // result must not depend on it. Returns when all are done; rethrows the first exception.
  void parallel_for(int64_t count, const std::function<void(int64_t)>& task);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ajet
