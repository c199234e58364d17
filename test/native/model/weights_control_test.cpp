// The protocol between the process that writes weights and those that read them: who waits for whom, and who dies when.
#include "model/weights_control.h"

#include <signal.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <new>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/shared_memory.h"
#include "check.h"
#include "child_process.h"

namespace ajet::test {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr size_t bytes = SharedMemory::mapping_alignment;

// A control block in shared memory, and eight words of "weights" behind it.
struct Segment {
  static Segment make() {
    Segment segment(SharedMemory::create("test", bytes));
    new (segment.control) WeightsControl{};
    segment.control->writer = this_process().packed();
    return segment;
  }
  static Segment open(const std::string& path) { return Segment(SharedMemory::open(path)); }

  explicit Segment(SharedMemory mapped) : memory(std::move(mapped)) {
    auto* begin = static_cast<char*>(memory.map(0, bytes, MapAccess::read_write));
    control = reinterpret_cast<WeightsControl*>(begin);
    words = reinterpret_cast<volatile uint64_t*>(begin + (1 << 16));
  }
  // One update: every word becomes the version.
  void write(WeightsWriter& writer, uint64_t version) const {
    writer.begin_write();
    for (int i = 0; i < 8; ++i) words[i] = version;
    writer.end_write(version);
  }

  SharedMemory memory;
  WeightsControl* control;
  volatile uint64_t* words;
};

double seconds_of(const std::function<void()>& body) {
  const auto start = Clock::now();
  body();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

TEST("weights control: a pass sees one version, whole, however often they are written") {
  const Segment segment = Segment::make();
  const std::string path = segment.memory.path();
  constexpr uint64_t updates = 300;
  ChildProcess child([&path](const auto& tell) {
    const Segment opened = Segment::open(path);
    WeightsReader reader(*opened.control, true);
    tell("ready");
    for (uint64_t version = 0, passes = 0; version < updates;) {
      if (!reader.begin_pass()) continue;
      version = opened.words[0];
      for (int i = 1; i < 8; ++i)
        if (opened.words[i] != version) return 1;
      if (reader.version() != version) return 2;
      if (!reader.end_pass()) return 3;
      if (++passes == 1) tell("read");
    }
    return 0;
  });
  CHECK_EQ(child.hear(), "ready");
  WeightsWriter writer(*segment.control);
  for (uint64_t version = 1; version <= updates; ++version) {
    segment.write(writer, version);
    if (version == 1) CHECK_EQ(child.hear(), "read");
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  CHECK_EQ(child.wait(), 0);
}

TEST("weights control: the writer waits for a pass, and a pass for the writer") {
  const Segment segment = Segment::make();
  WeightsWriter writer(*segment.control);
  WeightsReader reader(*segment.control, true);
  CHECK(reader.begin_pass());
  std::atomic<bool> writing = false;
  std::thread other([&] {
    writer.begin_write();
    writing = true;
  });
  while (segment.control->sequence.load() % 2 == 0) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(20));
  CHECK(!writing);
  CHECK(reader.end_pass());
  other.join();
  CHECK(!reader.begin_pass());
  CHECK_EQ(reader.version(), 0U);
  writer.end_write(1);
  CHECK(reader.begin_pass());
  CHECK_EQ(reader.version(), 1U);
  CHECK(reader.end_pass());
}

TEST("weights control: a reader that is killed within a pass stops nobody") {
  const Segment segment = Segment::make();
  const std::string path = segment.memory.path();
  ChildProcess child([&path](const auto& tell) {
    const Segment opened = Segment::open(path);
    WeightsReader reader(*opened.control, true);
    tell(reader.begin_pass() ? "within" : "not");
    pause();
    return 0;
  });
  CHECK_EQ(child.hear(), "within");
  child.kill(SIGKILL);
  CHECK_EQ(child.wait(), -SIGKILL);
  WeightsWriter writer(*segment.control, std::chrono::seconds(60));
  CHECK_LE(seconds_of([&] { segment.write(writer, 1); }), 30.0);
  CHECK_EQ(segment.control->readers[0].owner.load(), 0U);
  WeightsReader next(*segment.control, true);  // takes the slot as it was left
  CHECK(next.begin_pass());
  CHECK(next.end_pass());
}

TEST("weights control: a reader that hangs is waited for once, and its pass is void") {
  const Segment segment = Segment::make();
  WeightsWriter writer(*segment.control, milliseconds(100));
  WeightsReader reader(*segment.control, true);
  CHECK(reader.begin_pass());
  CHECK_LE(0.1, seconds_of([&] { segment.write(writer, 1); }));
  CHECK_LE(seconds_of([&] { segment.write(writer, 2); }), 0.09);
  CHECK(!reader.end_pass());
  CHECK(reader.begin_pass());
  CHECK_EQ(reader.version(), 2U);
  CHECK_LE(0.1, seconds_of([&] { segment.write(writer, 3); }));
}

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code() == ErrorCode::writer_gone ? error.what() : "another code";
  }
  return "nothing thrown";
}

TEST("weights control: a writer that is killed between updates leaves its last version, on the host") {
  ChildProcess child([](const auto& tell) {
    const Segment made = Segment::make();
    WeightsWriter writer(*made.control);
    made.write(writer, 7);
    tell(made.memory.path());
    pause();
    return 0;
  });
  const Segment segment = Segment::open(child.hear());
  WeightsReader host(*segment.control, true);
  WeightsReader device(*segment.control, false);
  CHECK(device.writer() == WriterState::live);
  CHECK(device.begin_pass());
  CHECK(device.end_pass());
  child.kill(SIGKILL);
  CHECK_EQ(child.wait(), -SIGKILL);
  CHECK(host.writer() == WriterState::ended);
  CHECK(host.begin_pass());
  CHECK_EQ(host.version(), 7U);
  CHECK(host.end_pass());
  CHECK(error_of([&] { device.begin_pass(); }).find("its weights on the card with it") != std::string::npos);
}

TEST("weights control: a writer that is killed within an update leaves nothing that is read") {
  ChildProcess child([](const auto& tell) {
    const Segment made = Segment::make();
    WeightsWriter writer(*made.control);
    made.write(writer, 7);
    writer.begin_write();
    tell(made.memory.path());
    pause();
    return 0;
  });
  const Segment segment = Segment::open(child.hear());
  WeightsReader reader(*segment.control, true);
  CHECK(!reader.begin_pass());
  CHECK(reader.writer() == WriterState::live);
  child.kill(SIGKILL);
  CHECK_EQ(child.wait(), -SIGKILL);
  for (int i = 0; i < 2; ++i)
    CHECK(error_of([&] { reader.begin_pass(); }).find("was killed while it wrote its weights") != std::string::npos);
  CHECK(reader.writer() == WriterState::half_written);
}

TEST("weights control: a writer that ends by itself says so") {
  const Segment segment = Segment::make();
  WeightsReader host(*segment.control, true);
  WeightsReader device(*segment.control, false);
  WeightsWriter writer(*segment.control, milliseconds(50));
  CHECK(device.begin_pass());
  CHECK_LE(0.05, seconds_of([&] { writer.close(true); }));
  CHECK(device.end_pass());
  CHECK(host.begin_pass());
  CHECK(host.end_pass());
  CHECK(host.writer() == WriterState::ended);
  CHECK(error_of([&] { device.begin_pass(); }).find("has ended") != std::string::npos);
}

TEST("weights control: there are so many places for readers, and one that is left is free again") {
  const Segment segment = Segment::make();
  std::vector<std::unique_ptr<WeightsReader>> readers;
  for (int i = 0; i < most_weights_readers; ++i)
    readers.push_back(std::make_unique<WeightsReader>(*segment.control, true));
  CHECK_ERROR(WeightsReader(*segment.control, true), "read by 64 processes already");
  readers.pop_back();
  readers.push_back(std::make_unique<WeightsReader>(*segment.control, true));
}

}  // namespace
}  // namespace ajet::test
