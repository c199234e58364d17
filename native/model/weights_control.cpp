#include "model/weights_control.h"

#include <string>
#include <thread>

#include "base/error.h"

namespace ajet {
namespace {

constexpr std::chrono::microseconds poll_interval(100);
constexpr int polls_between_checks = 50;  // of whether a process still runs, which costs a file

}  // namespace

void WeightsWriter::begin_write() {
  control_.sequence.store(control_.sequence.load() | 1);
  wait_for_readers();
}

void WeightsWriter::end_write(uint64_t version) {
  control_.version.store(version);
  control_.sequence.store((control_.sequence.load() | 1) + 1);
}

void WeightsWriter::close(bool wait) {
  control_.closed.store(1);
  if (wait) wait_for_readers();
}

void WeightsWriter::wait_for_readers() {
  const Clock::time_point deadline = Clock::now() + patience_;
  for (WeightsReaderSlot& slot : control_.readers) {
    const uint64_t pass = slot.passes.load();
    if (pass % 2 == 0 || pass == slot.overrun.load()) continue;
    if (!await_pass(slot, pass, deadline)) slot.overrun.store(pass);
  }
}

// False where it has not ended: its reader hangs, or is gone.
bool WeightsWriter::await_pass(WeightsReaderSlot& slot, uint64_t pass, Clock::time_point deadline) {
  for (int poll = 0; slot.passes.load() == pass; ++poll) {
    if (poll % polls_between_checks == 0) {
      uint64_t owner = slot.owner.load();
      if (owner == 0) return false;
      if (!is_running(ProcessMark::unpack(owner))) {
        slot.owner.compare_exchange_strong(owner, 0);
        return false;
      }
    }
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(poll_interval);
  }
  return true;
}

WeightsReader::WeightsReader(WeightsControl& control, bool outlive) : control_(control), outlive_(outlive) {
  const uint64_t self = this_process().packed();
  for (WeightsReaderSlot& slot : control_.readers) {
    uint64_t owner = slot.owner.load();
    if (owner != 0 && is_running(ProcessMark::unpack(owner))) continue;
    if (!slot.owner.compare_exchange_strong(owner, self)) continue;
    slot.passes.store((slot.passes.load() | 1) + 1);  // the last owner may have been killed within a pass
    slot_ = &slot;
    return;
  }
  fail(ErrorCode::invalid_argument, "[attach] The run's weights are read by " + std::to_string(most_weights_readers) +
                                        " processes already: stop one of them");
}

WeightsReader::~WeightsReader() { slot_->owner.store(0); }

bool WeightsReader::begin_pass() {
  pass_ = slot_->passes.fetch_add(1) + 1;
  sequence_ = control_.sequence.load();
  const bool whole = sequence_ % 2 == 0;
  if (whole && (outlive_ || writer() == WriterState::live)) return true;
  slot_->passes.fetch_add(1);
  if (writer() != WriterState::live && (!whole || !outlive_)) fail_gone();
  return false;
}

bool WeightsReader::end_pass() {
  std::atomic_thread_fence(std::memory_order_acquire);
  const uint64_t moved = control_.sequence.load() - sequence_;
  // 1: a writer waits for this pass, unless it has lost its patience.
  const bool whole = moved == 0 || (moved == 1 && slot_->overrun.load() != pass_);
  slot_->passes.fetch_add(1);
  return whole;
}

WriterState WeightsReader::writer() const {
  if (!gone_.load()) {
    if (control_.closed.load() == 0 && is_running(ProcessMark::unpack(control_.writer))) return WriterState::live;
    gone_.store(true);
  }
  return control_.sequence.load() % 2 == 0 ? WriterState::ended : WriterState::half_written;
}

void WeightsReader::fail_gone() const {
  if (writer() == WriterState::half_written) {
    fail(ErrorCode::writer_gone,
         "[attach] The training run was killed while it wrote its weights: they are not whole and are not served. "
         "Resume the run and attach again, or serve its last checkpoint");
  }
  fail(ErrorCode::writer_gone,
       "[attach] The training run has ended, and its weights on the card with it: serve its last checkpoint");
}

}  // namespace ajet
