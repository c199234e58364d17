// Strict JSON (RFC 8259): config.json, safetensors headers and index files. No duplicate keys, no comments.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace ajet {

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;  // in file order

  // Implicit, so that a literal is a value.
  Json() = default;
  Json(bool value) : value_(value) {}
  Json(int64_t value) : value_(value) {}
  Json(double value) : value_(value) {}
  Json(float value) : value_(value) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  // Throws invalid_argument with the byte where the text stops being JSON.
  static Json parse(std::string_view text);

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  // The value where it is of that type (bool, int64_t, std::string, Array, Object), else null.
  template <typename T>
  const T* get() const {
    return std::get_if<T>(&value_);
  }
  // Integers too; false where it is not a number.
  bool get_number(double& out) const;
  // A member of an object; null where this is no object or has no such key.
  const Json* find(std::string_view key) const;

  // indent 0: one line. Numbers in the shortest form that reads back the same.
  std::string dump(int indent = 0) const;

 private:
  void write(std::string& out, int indent, int depth) const;
  std::variant<std::monostate, bool, int64_t, double, float, std::string, Array, Object> value_;
};

}  // namespace ajet
