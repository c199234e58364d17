#include "base/thread_pool.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "base/error.h"
#include "check.h"

using namespace ajet;

TEST("thread pool runs every index once") {
  for (int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    CHECK_EQ(pool.threads(), threads);
    for (int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
      pool.parallel_for(count, [&](int64_t i) { visits[static_cast<size_t>(i)].fetch_add(1); });
      for (const auto& visit : visits) CHECK_EQ(visit.load(), 1);
    }
  }
}

TEST("thread pool zero means the available cores") { CHECK(ThreadPool(0).threads() >= 1); }

TEST("thread pool refuses negative counts") { CHECK_ERROR(ThreadPool(-1), "[thread_pool] Expected"); }

TEST("thread pool uses its workers") {
  ThreadPool pool(2);
  // Two tasks that wait for each other can only end on two threads.
  std::atomic<int> arrived{0};
  pool.parallel_for(2, [&](int64_t) {
    arrived.fetch_add(1);
    while (arrived.load() < 2) std::this_thread::yield();
  });
  CHECK_EQ(arrived.load(), 2);
}

TEST("thread pool survives many short jobs and pauses") {
  ThreadPool pool(3);
  std::atomic<int64_t> total{0};
  for (int round = 0; round < 20000; ++round) {
    pool.parallel_for(4, [&](int64_t i) { total.fetch_add(i); });
  }
  CHECK_EQ(total.load(), int64_t{20000} * 6);
  for (int round = 0; round < 20; ++round) {  // workers fall asleep in between
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    pool.parallel_for(4, [&](int64_t i) { total.fetch_add(i); });
  }
  CHECK_EQ(total.load(), int64_t{20020} * 6);
}

TEST("thread pool rethrows and works on") {
  ThreadPool pool(2);
  for (int round = 0; round < 100; ++round) {
    CHECK_ERROR(pool.parallel_for(64,
                                  [](int64_t i) {
                                    if (i == 17) fail(ErrorCode::numeric, "task 17 failed");
                                  }),
                "task 17 failed");
  }
  std::atomic<int> visits{0};
  pool.parallel_for(10, [&](int64_t) { visits.fetch_add(1); });
  CHECK_EQ(visits.load(), 10);
}

TEST("thread pool nests inline on itself and in parallel on another") {
  ThreadPool outer(2), inner(2);
  std::atomic<int> visits{0};
  outer.parallel_for(8, [&](int64_t) {
    outer.parallel_for(4, [&](int64_t) { visits.fetch_add(1); });
    inner.parallel_for(4, [&](int64_t) { visits.fetch_add(1); });
  });
  CHECK_EQ(visits.load(), 64);
}

TEST("thread pool takes callers from several threads") {
  ThreadPool shared(2), own(2);
  std::atomic<int64_t> shared_visits{0}, own_visits{0};
  const auto use_shared = [&] {
    for (int round = 0; round < 2000; ++round) shared.parallel_for(3, [&](int64_t) { shared_visits.fetch_add(1); });
  };
  std::thread first(use_shared), second(use_shared);
  for (int round = 0; round < 2000; ++round) own.parallel_for(3, [&](int64_t) { own_visits.fetch_add(1); });
  first.join();
  second.join();
  CHECK_EQ(shared_visits.load(), 12000);
  CHECK_EQ(own_visits.load(), 6000);
}
