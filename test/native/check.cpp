#include "check.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>

namespace ajet::test {

int run_tests(int argc, char** argv) {
  int shard = 1, shards = 1;
  if (argc > 1 && std::strcmp(argv[1], "--shard") == 0) {
    if (argc < 3 || std::sscanf(argv[2], "%d/%d", &shard, &shards) != 2 || shard < 1 || shard > shards) {
      std::printf("expected I/N behind --shard, I from 1 to N\n0 passed, 1 failed\n");
      return 1;
    }
    argc -= 2, argv += 2;
  }
  const char* filter = argc > 1 ? argv[1] : "";
  int matching = 0, passed = 0, failed = 0;
  for (const Case& test : cases()) {
    if (std::strstr(test.name, filter) == nullptr || matching++ % shards != shard - 1) continue;
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
