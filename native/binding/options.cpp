#include "binding/options.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/error.h"
#include "binding/typed_arrays.h"

namespace ajet::binding {

bool Range::contains(double value) const {
  if (!std::isfinite(value)) return false;
  return (open_low ? value > low : value >= low) && (open_high ? value < high : value <= high);
}

std::string Range::text() const {
  std::ostringstream out;
  if (std::isinf(low) && std::isinf(high)) return "";
  if (std::isinf(high)) {
    out << (open_low ? " > " : " >= ") << low;
  } else if (std::isinf(low)) {
    out << (open_high ? " < " : " <= ") << high;
  } else {
    out << " in " << (open_low ? '(' : '[') << low << ", " << high << (open_high ? ')' : ']');
  }
  return out.str();
}

Options::Options(const char* op, Napi::Value value) : op_(op), env_(value.Env()), empty_(value.IsUndefined()) {
  if (empty_) return;
  if (!value.IsObject() || value.IsArray() || value.IsTypedArray() || value.IsFunction()) {
    fail(ErrorCode::invalid_argument,
         std::string("[") + op_ + "] Expected an options object but received " + describe(value));
  }
  object_ = value.As<Napi::Object>();
}

bool Options::given(const char* name) const { return !empty_ && !object_.Get(name).IsUndefined(); }

Napi::Value Options::value(const char* name) {
  read_.emplace_back(name);
  return empty_ ? env_.Undefined() : object_.Get(name);
}

void Options::mismatch(const char* name, const std::string& expected) const {
  fail(ErrorCode::invalid_argument, std::string("[") + op_ + "] Expected " + expected + " for `" + name +
                                        "` but received " + describe(object_.Get(name)));
}

double Options::checked_number(const char* name, const Range& range, bool whole) const {
  const Napi::Value value = object_.Get(name);
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!range.contains(number) || (whole && number != std::floor(number))) {
    mismatch(name, (whole ? "an integer" : "a finite number") + range.text());
  }
  return number;
}

double Options::number(const char* name, double fallback, Range range) {
  read_.emplace_back(name);
  return given(name) ? checked_number(name, range, false) : fallback;
}

int64_t Options::integer(const char* name, int64_t fallback, int64_t low, int64_t high) {
  read_.emplace_back(name);
  const Range range{static_cast<double>(low), static_cast<double>(high)};
  return given(name) ? static_cast<int64_t>(checked_number(name, range, true)) : fallback;
}

uint64_t Options::seed(const char* name, uint64_t fallback) {
  read_.emplace_back(name);
  if (!given(name)) return fallback;
  const Napi::Value value = object_.Get(name);
  bool lossless = false;
  const uint64_t seed = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (!lossless) mismatch(name, "a bigint in [0, 2^64)");
  return seed;
}

bool Options::flag(const char* name, bool fallback) {
  read_.emplace_back(name);
  if (!given(name)) return fallback;
  const Napi::Value value = object_.Get(name);
  if (!value.IsBoolean()) mismatch(name, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

std::string Options::text(const char* name, const std::string& fallback) {
  read_.emplace_back(name);
  if (!given(name)) return fallback;
  const Napi::Value value = object_.Get(name);
  if (!value.IsString()) mismatch(name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

std::vector<int32_t> Options::int32_array(const char* name) {
  read_.emplace_back(name);
  if (!given(name)) return {};
  const Napi::Value value = object_.Get(name);
  if (value.IsTypedArray()) return copy_int32(op_, name, value);
  if (!value.IsArray()) mismatch(name, "an array of integers");
  const auto array = value.As<Napi::Array>();
  std::vector<int32_t> out(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value element = array.Get(i);
    const double number = element.IsNumber() ? element.As<Napi::Number>().DoubleValue() : std::nan("");
    const Range int32{std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
    if (!int32.contains(number) || number != std::floor(number)) {
      fail(ErrorCode::invalid_argument, std::string("[") + op_ + "] Expected an integer for `" + name + "[" +
                                            std::to_string(i) + "]` but received " + describe(element));
    }
    out[i] = static_cast<int32_t>(number);
  }
  return out;
}

void Options::finish() const {
  if (empty_) return;
  const Napi::Array names = object_.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).As<Napi::String>().Utf8Value();
    if (std::find(read_.begin(), read_.end(), name) != read_.end()) continue;
    std::string known;
    for (const std::string& other : read_) known += (known.empty() ? "" : ", ") + other;
    fail(ErrorCode::invalid_argument,
         std::string("[") + op_ + "] Unknown option `" + name + "`. Known options: " + known);
  }
}

}  // namespace ajet::binding
