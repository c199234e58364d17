#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"

namespace ajet {
namespace {

constexpr auto spin_time = std::chrono::microseconds(40);

// Spins until the condition holds or spin_time is over; returns the condition.
template <typename Condition>
bool spin_until(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + spin_time;
  do {
    for (int i = 0; i < 64; ++i) {
      if (condition()) return true;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return condition();
}

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

// One word holds the job's generation, whether it is open, and how many workers are in it. Workers join an open job
// if they see it in time; the caller closes it when no task is left and waits for those who joined. So a job never
// waits for a worker that is asleep or has lost its core.
struct ThreadPool::State {
  static constexpr uint64_t open_bit = uint64_t{1} << 16;
  static constexpr uint64_t joined_mask = open_bit - 1;
  static constexpr int generation_shift = 17;

  const std::function<void(int64_t)>* task = nullptr;
  int64_t count = 0;
  std::atomic<int64_t> next{0};
  std::atomic<uint64_t> job{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error;

  std::mutex mutex;  // guards sleeping, stopping, caller_waits and error
  std::condition_variable wake;
  std::condition_variable done;
  int sleeping = 0;
  bool caller_waits = false;
  std::atomic<bool> stopping{false};
  std::mutex callers;  // one job at a time
  std::vector<std::thread> workers;

  static uint64_t generation(uint64_t word) { return word >> generation_shift; }

  void run_tasks() noexcept;
  bool join_job();
  void leave_job();
  void worker_loop();
  void open_job(int64_t job_count, const std::function<void(int64_t)>& job_task);
  void close_job();
  void stop() noexcept;
};

namespace {

// The pool whose task this thread is running: a nested loop on it runs inline.
thread_local const void* running_pool = nullptr;

}  // namespace

void ThreadPool::State::run_tasks() noexcept {
  const void* outer = std::exchange(running_pool, this);
  for (;;) {
    const int64_t index = next.fetch_add(1, std::memory_order_relaxed);
    if (index >= count || failed.load(std::memory_order_relaxed)) break;
    try {
      (*task)(index);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failed.exchange(true)) error = std::current_exception();
    }
  }
  running_pool = outer;
}

bool ThreadPool::State::join_job() {
  uint64_t word = job.load(std::memory_order_acquire);
  while ((word & open_bit) != 0) {
    if (job.compare_exchange_weak(word, word + 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

void ThreadPool::State::leave_job() {
  const uint64_t before = job.fetch_sub(1, std::memory_order_acq_rel);
  if ((before & open_bit) != 0 || (before & joined_mask) != 1) return;
  const std::lock_guard lock(mutex);
  if (caller_waits) done.notify_one();
}

void ThreadPool::State::worker_loop() {
  uint64_t seen = 0;
  for (;;) {
    const auto called = [&] {
      return generation(job.load(std::memory_order_acquire)) != seen || stopping.load(std::memory_order_relaxed);
    };
    if (!spin_until(called)) {
      std::unique_lock lock(mutex);
      ++sleeping;
      wake.wait(lock, called);
      --sleeping;
    }
    if (stopping.load()) return;
    seen = generation(job.load(std::memory_order_acquire));
    if (!join_job()) continue;
    seen = generation(job.load(std::memory_order_acquire));  // cannot change while joined
    run_tasks();
    leave_job();
  }
}

void ThreadPool::State::open_job(int64_t job_count, const std::function<void(int64_t)>& job_task) {
  task = &job_task;
  count = job_count;
  next.store(0, std::memory_order_relaxed);
  failed.store(false, std::memory_order_relaxed);
  const uint64_t next_generation = generation(job.load(std::memory_order_relaxed)) + 1;
  bool anyone_asleep = false;
  {
    const std::lock_guard lock(mutex);
    job.store((next_generation << generation_shift) | open_bit, std::memory_order_release);
    anyone_asleep = sleeping > 0;
  }
  if (anyone_asleep) wake.notify_all();
}

void ThreadPool::State::close_job() {
  job.fetch_and(~open_bit, std::memory_order_acq_rel);
  const auto finished = [&] { return (job.load(std::memory_order_acquire) & joined_mask) == 0; };
  if (spin_until(finished)) return;
  std::unique_lock lock(mutex);
  caller_waits = true;
  done.wait(lock, finished);
  caller_waits = false;
}

void ThreadPool::State::stop() noexcept {
  {
    const std::lock_guard lock(mutex);
    stopping.store(true);
  }
  wake.notify_all();
  for (std::thread& worker : workers) worker.join();
  workers.clear();
}

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  if (threads < 0) {
    fail(ErrorCode::invalid_argument,
         "[thread_pool] Expected a number >= 0 for `threads` but received " + std::to_string(threads));
  }
  const int total = threads == 0 ? available_cores() : threads;
  State* state = state_.get();
  try {
    for (int i = 1; i < total; ++i) state->workers.emplace_back([state] { state->worker_loop(); });
  } catch (...) {
    state->stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { state_->stop(); }

int ThreadPool::threads() const noexcept { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::parallel_for(int64_t count, const std::function<void(int64_t)>& task) {
  State& state = *state_;
  if (count <= 1 || state.workers.empty() || running_pool == &state) {
    for (int64_t i = 0; i < count; ++i) task(i);
    return;
  }
  const std::lock_guard callers(state.callers);
  state.open_job(count, task);
  state.run_tasks();
  state.close_job();
  if (state.failed.load()) std::rethrow_exception(std::exchange(state.error, nullptr));
}

}  // namespace ajet
