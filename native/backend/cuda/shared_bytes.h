// Shared memory of a block beyond what every kernel may have.
#pragma once

#include <cstdint>
#include <source_location>

namespace ajet::cuda {

// Dynamic shared memory that a kernel may have without asking: 48 KiB less its static variables, which take a multiple
// of 128 bytes in front of it.
constexpr int64_t default_shared_bytes = 47 << 10;

// Lets the kernel have that many dynamic bytes on the current card from now on. Never lowers what it may have: a graph
// with an earlier launch may be started later. For any thread.
void allow_shared_bytes(const void* kernel, int64_t bytes, const std::source_location& where);

}  // namespace ajet::cuda
