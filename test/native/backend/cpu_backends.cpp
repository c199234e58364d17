// The suite on the CPU, once for each instruction set that this machine has.
#include <algorithm>

#include "backend_fixture.h"
#include "cpu_isas.h"

namespace ajet::test {

std::vector<std::shared_ptr<Backend>> backends() {
  std::vector<std::shared_ptr<Backend>> all;
  for (const std::string& isa : available_isas()) all.push_back(make_cpu_backend(2, isa));
  return all;
}

// 1, 2 and 3 threads; avx2 and avx512 agree too.
std::vector<std::vector<std::shared_ptr<Backend>>> equal_backends() {
  std::vector<std::vector<std::shared_ptr<Backend>>> groups;
  for (const std::string& isa : available_isas()) {
    if (isa != "avx512" || groups.empty()) groups.emplace_back();
    for (const int threads : {1, 2, 3}) groups.back().push_back(make_cpu_backend(threads, isa));
  }
  return groups;
}

bool is_slow(const Backend&) { return false; }

}  // namespace ajet::test
