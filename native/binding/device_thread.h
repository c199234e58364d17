// The one thread of an environment that touches models. It alternates between queued jobs and the steps of engines
// that have work, and leaves what JavaScript must hear in an outbox. Knows nothing of promises or of JavaScript values.
#pragma once

#include <napi.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

namespace ajet::binding {

// Builds a job's JavaScript value. Made on the device thread, called on the JS thread.
using Result = std::function<Napi::Value(Napi::Env)>;

// The end of a promise.
struct Settlement {
  uint64_t promise = 0;
  Result result;  // called where there is no error
  std::exception_ptr error;
};

// The streamed tokens of one engine step, one array element per event.
struct TokenBatch {
  uint64_t promise = 0;  // of one of the requests: its owner is the engine's handle
  std::vector<double> request, version;
  std::vector<int32_t> choice, token;
  std::vector<float> logprob;
  std::vector<uint8_t> finish;
  std::vector<int32_t> top_offset;  // [events + 1]
  std::vector<int32_t> top_token;
  std::vector<float> top_logprob;
};

using Delivery = std::variant<Settlement, TokenBatch>;

enum class JobKind : uint8_t {
  light,  // any number of them between two engine steps: submit, cancel
  heavy   // at most one between two engine steps: update, load, save
};

class DeviceThread;

// Something with steps of its own while it has work: an engine.
class Stepper {
 public:
  virtual ~Stepper() = default;
  virtual bool step(DeviceThread& device) = 0;  // false: no work left
};

class DeviceThread {
 public:
  // `notify` is called, from the device thread, when the outbox stops being empty.
  explicit DeviceThread(std::function<void()> notify);
  ~DeviceThread();

  // Any thread. A job must not throw. After stop() it is dropped.
  void enqueue(std::function<void()> job, JobKind kind = JobKind::light);
  // Drops the last reference to device memory on the device thread, or here after stop().
  void release(std::shared_ptr<void> object);
  std::vector<Delivery> take_deliveries();
  // Lets the job or step at work reach its next check, and joins. Idempotent.
  void stop();

  // Device thread.
  void settle(uint64_t promise, Result result);
  void settle_error(uint64_t promise, std::exception_ptr error);
  void deliver(Delivery delivery);
  void activate(const std::shared_ptr<Stepper>& stepper);
  bool stopping() const { return stop_.stop_requested(); }

 private:
  struct Job {
    std::function<void()> run;
    JobKind kind;
  };
  void run();
  bool next_job(Job& job);

  std::function<void()> notify_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Job> jobs_;
  std::vector<Delivery> outbox_;
  bool stopped_ = false;
  std::vector<std::shared_ptr<Stepper>> active_;  // device thread only, as is stop_
  std::stop_token stop_;
  std::jthread thread_;  // last: starts when all else is there
};

}  // namespace ajet::binding
