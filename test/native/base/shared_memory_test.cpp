// Shared memory by the path of its file, and processes told apart.
#include "base/shared_memory.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/process.h"
#include "check.h"
#include "child_process.h"

namespace ajet::test {
namespace {

constexpr size_t part = SharedMemory::mapping_alignment;

TEST("shared memory: what one process writes another one reads, each part at its offset") {
  SharedMemory made = SharedMemory::create("test", 2 * part + 12288);
  auto* first = static_cast<char*>(made.map(0, part, MapAccess::read_write));
  auto* rest = static_cast<char*>(made.map(part, part + 12288, MapAccess::read_write));
  for (size_t i = 0; i < part + 12288; ++i) CHECK_EQ(rest[i], 0);
  const std::string path = made.path();
  const ChildProcess child([&path](const auto&) {
    SharedMemory opened = SharedMemory::open(path);
    if (opened.bytes() != 2 * part + 12288) return 1;
    std::strcpy(static_cast<char*>(opened.map(0, part, MapAccess::read_write)), "head");
    std::strcpy(static_cast<char*>(opened.map(part, part, MapAccess::read_write)) + 8192, "weights");
    return 0;
  });
  CHECK_EQ(child.wait(), 0);
  CHECK_EQ(std::string(first), "head");
  CHECK_EQ(std::string(rest + 8192), "weights");
}

TEST("shared memory: a read-only mapping cannot be written") {
  SharedMemory made = SharedMemory::create("test", part);
  const std::string path = made.path();
  const ChildProcess child([&path](const auto&) {
    signal(SIGSEGV, SIG_DFL);  // a sanitizer would end the child in its own way
    SharedMemory opened = SharedMemory::open(path);
    *static_cast<volatile char*>(opened.map(0, part, MapAccess::read_only)) = 1;
    return 0;
  });
  CHECK_EQ(child.wait(), -SIGSEGV);
}

TEST("shared memory: its maker is killed, and nothing is left but with those who have it") {
  ChildProcess child([](const auto& tell) {
    SharedMemory made = SharedMemory::create("test", part);
    std::strcpy(static_cast<char*>(made.map(0, part, MapAccess::read_write)), "kept");
    tell(made.path());
    pause();
    return 0;
  });
  const std::string path = child.hear();
  SharedMemory opened = SharedMemory::open(path);
  child.kill(SIGKILL);
  CHECK_EQ(child.wait(), -SIGKILL);
  CHECK_EQ(std::string(static_cast<char*>(opened.map(0, part, MapAccess::read_only))), "kept");
  CHECK_ERROR(SharedMemory::open(path), "[shared memory] Cannot open " + path + ": No such file or directory");
}

TEST("shared memory: it can be neither cut nor made longer by those who open it") {
  SharedMemory made = SharedMemory::create("test", part);
  const int descriptor = open(made.path().c_str(), O_RDWR | O_CLOEXEC);
  CHECK(descriptor >= 0);
  CHECK_EQ(ftruncate(descriptor, 0), -1);
  CHECK_EQ(ftruncate(descriptor, 2 * part), -1);
  close(descriptor);
}

TEST("shared memory: what the system refuses is an error with its reason") {
  const ChildProcess child([](const auto&) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{part / 2, part / 2};
    setrlimit(RLIMIT_FSIZE, &limit);
    CHECK_ERROR(SharedMemory::create("test", part),
                "[shared memory] Cannot reserve 2097152 bytes of shared memory: File too large");
    return 0;
  });
  CHECK_EQ(child.wait(), 0);
  SharedMemory made = SharedMemory::create("test", part);
  CHECK_ERROR(made.map(part, 1, MapAccess::read_only), "Expected a part of the 2097152 bytes");
  CHECK_ERROR(SharedMemory::open("/proc/self/fd/9999"), "No such file or directory");
  CHECK_ERROR(SharedMemory::open("/dev/null"), "Cannot map /dev/null: Invalid argument");
}

TEST("processes: one that runs, one that was killed, and another with its id") {
  CHECK(is_running(this_process()));
  ProcessMark later = this_process();
  ++later.start_ticks;
  CHECK(!is_running(later));
  CHECK_EQ(ProcessMark::unpack(later.packed()).start_ticks, later.start_ticks);
  ChildProcess child([](const auto& tell) {
    tell(std::to_string(this_process().packed()));
    pause();
    return 0;
  });
  const ProcessMark mark = ProcessMark::unpack(std::stoull(child.hear()));
  CHECK(is_running(mark));
  child.kill(SIGKILL);
  child.await_zombie();
  CHECK(!is_running(mark));
  CHECK_EQ(child.wait(), -SIGKILL);
  CHECK(!is_running(mark));
}

}  // namespace
}  // namespace ajet::test
