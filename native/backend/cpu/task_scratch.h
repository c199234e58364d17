// parallel_for whose tasks need scratch: one slice a thread, not one a task.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/thread_pool.h"

namespace ajet::cpu {

// Slices to allocate.
inline int64_t scratch_slices(const ThreadPool& pool, int64_t tasks) {
  return std::min<int64_t>(pool.threads(), tasks);
}

// Calls task(i, slice) for i in [0, tasks); slice is one of scratch_slices() slices of `floats` floats, unshared while
// the task runs, contents undefined.
template <typename Task>
void parallel_with_scratch(ThreadPool& pool, int64_t tasks, float* scratch, int64_t floats, const Task& task) {
  std::atomic<int64_t> next{0};
  pool.parallel_for(scratch_slices(pool, tasks), [&](int64_t slice) {
    for (int64_t i = next.fetch_add(1); i < tasks; i = next.fetch_add(1)) task(i, scratch + slice * floats);
  });
}

}  // namespace ajet::cpu
