// Reads an options object field by field. Absent and undefined mean the default; anything else must be of the right
// type and in range, and a field that nobody read is an error: no option is ever ignored in silence.
#pragma once

#include <napi.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace ajet::binding {

struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool open_low = false;   // low itself is out of range
  bool open_high = false;  // high itself is out of range

  bool contains(double value) const;  // false for NaN and infinities
  std::string text() const;           // "in (0, 1]", ">= 0", ""
};

class Options {
 public:
  // `op` names the call in messages. Undefined counts as an empty object.
  Options(const char* op, Napi::Value value);

  double number(const char* name, double fallback, Range range = {});
  int64_t integer(const char* name, int64_t fallback, int64_t low, int64_t high);
  uint64_t seed(const char* name, uint64_t fallback);  // a bigint in [0, 2^64)
  bool flag(const char* name, bool fallback);
  std::string text(const char* name, const std::string& fallback);
  std::vector<int32_t> int32_array(const char* name);  // an array of integers or an Int32Array; empty where absent
  Napi::Value value(const char* name);                 // as it is

  template <typename Enum>
  Enum choice(const char* name, Enum fallback, const std::vector<std::pair<const char*, Enum>>& choices) {
    const std::string picked = text(name, "");
    if (picked.empty() && !given(name)) return fallback;
    std::string names;
    for (const auto& [choice_name, choice_value] : choices) {
      if (picked == choice_name) return choice_value;
      names += (names.empty() ? "\"" : ", \"") + std::string(choice_name) + '"';
    }
    mismatch(name, "one of " + names);
  }

  bool given(const char* name) const;
  void finish() const;  // throws where a field was not read

 private:
  [[noreturn]] void mismatch(const char* name, const std::string& expected) const;
  double checked_number(const char* name, const Range& range, bool whole) const;

  const char* op_;
  Napi::Env env_;
  Napi::Object object_;
  bool empty_;
  std::vector<std::string> read_;
};

}  // namespace ajet::binding
