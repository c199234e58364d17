// Wall time of work on a device, which runs behind the host: from idle to idle.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "figure.h"

namespace ajet::bench {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

inline Times times_of(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds.front(), static_cast<int64_t>(seconds.size())};
}

// Samples of as many calls as take 10 ms or more, so that waiting for the device costs nothing that shows, for
// `seconds` and at least five times (three, where a call takes over a second). The warm-up loads kernels, makes plans
// and grows what grows once.
template <typename Call>
Times measure(Backend& backend, double seconds, const Call& call) {
  const auto sample = [&](int64_t calls) {
    const Stopwatch watch;
    for (int64_t i = 0; i < calls; ++i) call();
    backend.synchronize();
    return watch.seconds() / static_cast<double>(calls);
  };
  constexpr double sample_seconds = 0.01;
  sample(1);
  const double call_seconds = sample(1);
  const auto calls = static_cast<int64_t>(sample_seconds / call_seconds) + 1;
  const size_t least = call_seconds > 1 ? 3 : 5;
  std::vector<double> samples;
  const Stopwatch watch;
  while (samples.size() < least || watch.seconds() < seconds) samples.push_back(sample(calls));
  return times_of(std::move(samples));
}

}  // namespace ajet::bench
