// A process, told apart from a later one with the same id.
#pragma once

#include <cstdint>

namespace ajet {

struct ProcessMark {
  uint32_t pid = 0;
  uint32_t start_ticks = 0;  // clock ticks since boot, modulo 2^32

  // One word, for atomics; 0 is nobody.
  uint64_t packed() const { return (static_cast<uint64_t>(pid) << 32) | start_ticks; }
  static ProcessMark unpack(uint64_t word) { return {static_cast<uint32_t>(word >> 32), static_cast<uint32_t>(word)}; }
};

ProcessMark this_process();

// True where the very process still runs; a zombie does not.
bool is_running(const ProcessMark& mark);

}  // namespace ajet
