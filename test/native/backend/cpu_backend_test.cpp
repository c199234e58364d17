// What only the CPU has.
#include "backend/backend.h"
#include "check.h"

namespace ajet::test {
namespace {

TEST("backend describes itself and refuses unknown instruction sets") {
  CHECK_EQ(make_cpu_backend(1, "portable")->description(), std::string("cpu, 1 thread, portable"));
  CHECK_EQ(make_cpu_backend(2, "portable")->description(), std::string("cpu, 2 threads, portable"));
  CHECK_EQ(make_cpu_backend(1)->name(), std::string("cpu"));
  CHECK_ERROR(make_cpu_backend(1, "sse9"),
              "[cpu] Expected \"portable\", \"avx2\" or \"avx512\" for `isa` but received \"sse9\"");
}

}  // namespace
}  // namespace ajet::test
