#include "binding/device_thread.h"

#include <algorithm>
#include <utility>

namespace ajet::binding {

DeviceThread::DeviceThread(std::function<void()> notify)
    : notify_(std::move(notify)), thread_([this](const std::stop_token& stop) {
        stop_ = stop;
        run();
      }) {}

DeviceThread::~DeviceThread() { stop(); }

void DeviceThread::enqueue(std::function<void()> job, JobKind kind) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    jobs_.push_back({std::move(job), kind});
  }
  wake_.notify_one();
}

void DeviceThread::release(std::shared_ptr<void> object) {
  enqueue([held = std::move(object)] {});
}

std::vector<Delivery> DeviceThread::take_deliveries() {
  const std::lock_guard lock(mutex_);
  return std::exchange(outbox_, {});
}

void DeviceThread::stop() {
  std::deque<Job> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    dropped.swap(jobs_);
  }
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  active_.clear();
  outbox_.clear();
}

void DeviceThread::settle(uint64_t promise, Result result) { deliver(Settlement{promise, std::move(result), nullptr}); }

void DeviceThread::settle_error(uint64_t promise, std::exception_ptr error) {
  deliver(Settlement{promise, {}, std::move(error)});
}

void DeviceThread::deliver(Delivery delivery) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = outbox_.empty();
    outbox_.push_back(std::move(delivery));
  }
  if (first) notify_();
}

void DeviceThread::activate(const std::shared_ptr<Stepper>& stepper) {
  if (std::find(active_.begin(), active_.end(), stepper) == active_.end()) active_.push_back(stepper);
}

bool DeviceThread::next_job(Job& job) {
  std::unique_lock lock(mutex_);
  if (active_.empty()) wake_.wait(lock, stop_, [this] { return !jobs_.empty(); });
  if (jobs_.empty() || stopping()) return false;
  job = std::move(jobs_.front());
  jobs_.pop_front();
  return true;
}

void DeviceThread::run() {
  while (!stopping()) {
    bool heavy = false;
    for (Job job; !heavy && next_job(job);) {
      heavy = job.kind == JobKind::heavy;
      job.run();
      job.run = nullptr;  // what it held is released before the next wait
    }
    for (size_t i = 0; i < active_.size() && !stopping();) {
      if (active_[i]->step(*this)) {
        ++i;
      } else {
        active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }
}

}  // namespace ajet::binding
