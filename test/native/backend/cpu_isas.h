// The instruction sets that this machine can run.
#pragma once

#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"

namespace ajet::test {

inline std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const char* isa : {"portable", "avx2", "avx512"}) {
    try {
      make_cpu_backend(1, isa);
      names.emplace_back(isa);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::invalid_argument) throw;
    }
  }
  return names;
}

}  // namespace ajet::test
