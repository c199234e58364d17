// Errors of the native core. Thrown where the fault is found, with an "[op]" prefix; mapped to a
// JavaScript error with a code at the binding's edge and nowhere else.
#pragma once

#include <stdexcept>
#include <string>

namespace ajet {

enum class ErrorCode {
  invalid_argument,
  out_of_memory,
  io,
  corrupt_file,
  device,
  numeric,
  disposed,
  aborted,
  writer_gone,  // of weights that are another process': they will never be whole again
  internal
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

[[noreturn]] inline void fail(ErrorCode code, const std::string& message) { throw Error(code, message); }

inline void require(bool condition, const char* message) {
  if (!condition) fail(ErrorCode::invalid_argument, message);
}

}  // namespace ajet
