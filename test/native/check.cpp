#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>

#include "check.h"

namespace ajet::test {

int run_tests(int argc, char** argv) {
  const char* filter = argc > 1 ? argv[1] : "";
  int passed = 0, failed = 0;
  for (const Case& test : cases()) {
    if (std::strstr(test.name, filter) == nullptr) continue;
    const auto start = std::chrono::steady_clock::now();
    std::string message;
    try {
      test.body();
    } catch (const std::exception& error) {
      message = error.what();
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (message.empty()) {
      ++passed;
      std::printf("ok   %s (%.2f s)\n", test.name, seconds);
    } else {
      ++failed;
      std::printf("FAIL %s\n     %s\n", test.name, message.c_str());
    }
    std::fflush(stdout);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace ajet::test
