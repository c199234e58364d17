// Loops over independent rows, cut into tasks large enough to be worth a thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/thread_pool.h"

namespace ajet::cpu {

// Calls body(row) for every row; `row_work` is about the number of elements a row costs.
template <typename Body>
void parallel_rows(ThreadPool& pool, int64_t rows, int64_t row_work, const Body& body) {
  constexpr int64_t task_work = 16384;
  const int64_t rows_per_task = std::max<int64_t>(1, task_work / std::max<int64_t>(1, row_work));
  pool.parallel_for((rows + rows_per_task - 1) / rows_per_task, [&](int64_t task) {
    const int64_t end = std::min(rows, (task + 1) * rows_per_task);
    for (int64_t row = task * rows_per_task; row < end; ++row) body(row);
  });
}

}  // namespace ajet::cpu
