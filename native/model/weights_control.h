// What a training run and the processes that read its weights in place agree on, in memory that all of them map.
//
// `sequence` is odd while the weights are written. A reader says in its slot that it is within a pass, then looks at
// the sequence; the writer makes the sequence odd, then waits until no slot is within a pass. All four are sequentially
// consistent, so that one of the two sees the other. A writer waits for a reader that hangs no longer than its
// patience, and notes which pass it has run over: that pass is void, and computed again. A reader that is killed, and a
// writer that is, are told by their process marks.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "backend/backend.h"
#include "base/process.h"

namespace ajet {

constexpr int most_weights_readers = 64;

struct alignas(64) WeightsReaderSlot {
  std::atomic<uint64_t> owner;    // ProcessMark::packed(); 0: free
  std::atomic<uint64_t> passes;   // odd: within one
  std::atomic<uint64_t> overrun;  // the last value of `passes` that the writer did not wait for to the end
};

// The first bytes of the segment.
struct WeightsControl {
  static constexpr uint64_t expected_magic = 0x7374686769656A61U;  // "ajeights"
  static constexpr uint32_t expected_layout = 2;                   // of the segment; raised when anything here changes

  uint64_t magic;
  uint32_t layout;
  uint32_t dtype;  // DType of the compute copy
  uint64_t segment_bytes;
  uint64_t config_offset, config_bytes;    // config.json's text
  uint64_t weights_offset, weights_bytes;  // bytes 0: they are in device memory, below
  uint64_t table_digest;                   // of the parameters' names, shapes, dtypes and offsets
  char device[32];                         // Backend::shared_device(): "" for the host's memory
  // Of device memory. With a compute copy `master` is of the matrices alone, beside `vectors`.
  DeviceMemoryHandle master, vectors, compute;
  uint64_t matrices_on_host;       // 1: the run has them in its host memory; there is no `master`
  uint64_t writer;                 // ProcessMark::packed()
  std::atomic<uint64_t> sequence;  // odd while the weights are written
  std::atomic<uint64_t> version;   // of the weights that were last complete
  std::atomic<uint64_t> closed;    // 1: the writer has ended by itself
  std::array<WeightsReaderSlot, most_weights_readers> readers;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free, "the words are shared between processes");

enum class WriterState {
  live,
  ended,         // the weights are those of its last update
  half_written,  // killed, or failed, while it wrote
};

// The run's side.
class WeightsWriter {
 public:
  using Clock = std::chrono::steady_clock;

  explicit WeightsWriter(WeightsControl& control, Clock::duration patience = std::chrono::seconds(10))
      : control_(control), patience_(patience) {}

  // No reader is within a pass any more, nor begins one before end_write(); or it hangs.
  void begin_write();
  void end_write(uint64_t version);
  // Passes that begin from now on see that the run has ended. With `wait`, those that have begun have ended too.
  void close(bool wait);

 private:
  void wait_for_readers();
  static bool await_pass(WeightsReaderSlot& slot, uint64_t pass, Clock::time_point deadline);

  WeightsControl& control_;
  Clock::duration patience_;
};

// The side of a process that reads the weights. One thread makes passes; version() and writer() may be asked by others.
class WeightsReader {
 public:
  // `outlive`: the weights stay readable when their writer is gone. Throws invalid_argument where all slots are taken.
  WeightsReader(WeightsControl& control, bool outlive);
  ~WeightsReader();
  WeightsReader(const WeightsReader&) = delete;
  WeightsReader& operator=(const WeightsReader&) = delete;

  // False: the weights are being written, ask again. Throws writer_gone where they will never be whole.
  bool begin_pass();
  // False: they were written meanwhile, and what the pass has computed means nothing.
  bool end_pass();

  uint64_t version() const { return control_.version.load(); }  // of the weights that were last complete
  WriterState writer() const;

 private:
  [[noreturn]] void fail_gone() const;

  WeightsControl& control_;
  WeightsReaderSlot* slot_ = nullptr;
  bool outlive_;
  uint64_t sequence_ = 0, pass_ = 0;        // of the pass that was begun last
  mutable std::atomic<bool> gone_ = false;  // the writer; for good
};

}  // namespace ajet
