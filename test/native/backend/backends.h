// The backends under test: each test binary links one definition (cpu_, emulated_ or cuda_backends.cpp).
#pragma once

#include <memory>
#include <vector>

#include "backend/backend.h"

namespace ajet::test {

// Every test of an op runs on each of these.
std::vector<std::shared_ptr<Backend>> backends();
// The backends of one list give the same bits: the CPU with any number of threads, a card each time.
std::vector<std::vector<std::shared_ptr<Backend>>> equal_backends();
// Whether work is slow enough here that tests take their small sizes alone.
bool is_slow(const Backend& backend);

}  // namespace ajet::test
