// The smallest test harness that reports file, line and values. A test binary is any number of TEST blocks and
// run_tests() in main.cpp; `binary [substring]` runs the tests whose name contains it, `binary --shard I/N [substring]`
// every N-th of those, beginning with the I-th (from 1).
#pragma once

#include <cmath>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace ajet::test {

struct Case {
  const char* name;
  void (*body)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

struct Registration {
  Registration(const char* name, void (*body)()) { cases().push_back({name, body}); }
};

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <typename... Parts>
[[noreturn]] void fail_at(const char* file, int line, const Parts&... parts) {
  std::ostringstream text;
  text << file << ':' << line << ": ";
  (text << ... << parts);
  throw Failure(text.str());
}

// ‖a - b‖ / max(‖b‖, tiny), in double.
template <typename A, typename B>
double relative_error(const A& actual, const B& expected) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double d = static_cast<double>(actual[i]) - static_cast<double>(expected[i]);
    difference += d * d;
    norm += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-30);
}

int run_tests(int argc, char** argv);  // prints "N passed, N failed" last; 1 where one failed

}  // namespace ajet::test

#define AJET_CONCAT2(a, b) a##b
#define AJET_CONCAT(a, b) AJET_CONCAT2(a, b)
#define TEST(name) AJET_TEST_IMPL(name, AJET_CONCAT(test_body_, __LINE__), AJET_CONCAT(test_registration_, __LINE__))
#define AJET_TEST_IMPL(name, body, registration)                    \
  static void body();                                               \
  static const ::ajet::test::Registration registration(name, body); \
  static void body()
#define CHECK(condition)                                                                  \
  do {                                                                                    \
    if (!(condition)) ::ajet::test::fail_at(__FILE__, __LINE__, "CHECK(" #condition ")"); \
  } while (false)
#define CHECK_EQ(a, b)                                                                                                 \
  do {                                                                                                                 \
    const auto check_a = (a);                                                                                          \
    const auto check_b = (b);                                                                                          \
    if (!(check_a == check_b)) ::ajet::test::fail_at(__FILE__, __LINE__, #a " == " #b ": ", check_a, " vs ", check_b); \
  } while (false)
#define CHECK_LE(a, b)                                                                                                 \
  do {                                                                                                                 \
    const auto check_a = (a);                                                                                          \
    const auto check_b = (b);                                                                                          \
    if (!(check_a <= check_b)) ::ajet::test::fail_at(__FILE__, __LINE__, #a " <= " #b ": ", check_a, " vs ", check_b); \
  } while (false)
// The statement throws ajet::Error whose message contains `part`.
#define CHECK_ERROR(statement, part)                                                                            \
  do {                                                                                                          \
    std::string check_message = "(nothing thrown)";                                                             \
    try {                                                                                                       \
      statement;                                                                                                \
    } catch (const std::exception& error) {                                                                     \
      check_message = error.what();                                                                             \
    }                                                                                                           \
    if (check_message.find(part) == std::string::npos)                                                          \
      ::ajet::test::fail_at(__FILE__, __LINE__, "expected an error with \"", part, "\", got: ", check_message); \
  } while (false)
