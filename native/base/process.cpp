#include "base/process.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace ajet {
namespace {

struct Status {
  char state;
  uint32_t start_ticks;
};

// Fields 3 and 22 of /proc/PID/stat; the name before them may hold spaces and brackets.
std::optional<Status> read_status(uint32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(name_end + 1));
  const std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};
  constexpr size_t start_field = 19;
  if (fields.size() <= start_field) return std::nullopt;
  const uint64_t ticks = std::strtoull(fields[start_field].c_str(), nullptr, 10);
  return Status{fields.front().front(), static_cast<uint32_t>(ticks)};
}

}  // namespace

ProcessMark this_process() {
  const auto pid = static_cast<uint32_t>(getpid());
  const auto status = read_status(pid);
  return {pid, status ? status->start_ticks : 0};
}

bool is_running(const ProcessMark& mark) {
  const auto status = read_status(mark.pid);
  return status && status->state != 'Z' && status->state != 'X' && status->start_ticks == mark.start_ticks;
}

}  // namespace ajet
