#include "base/json.h"

#include <array>
#include <charconv>
#include <cmath>

namespace ajet {
namespace {

void append(std::string& out, const std::array<char, 40>& text, const std::to_chars_result& result) {
  out.append(text.data(), static_cast<size_t>(result.ptr - text.data()));
}

void write_integer(std::string& out, int64_t value) {
  std::array<char, 40> text;
  append(out, text, std::to_chars(text.data(), text.data() + text.size(), value));
}

// Whole values as 500000.0, others in the shortest form that reads back the same.
template <typename Float>
void write_float(std::string& out, Float value) {
  std::array<char, 40> text;
  char* end = text.data() + text.size();
  const bool whole = value == std::trunc(value) && std::abs(value) < Float{1e9};
  append(out, text,
         whole ? std::to_chars(text.data(), end, value, std::chars_format::fixed, 1)
               : std::to_chars(text.data(), end, value));
}

void write_string(std::string& out, const std::string& text) {
  static constexpr std::string_view special = "\"\\\b\f\n\r\t", letters = "\"\\bfnrt", hex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const size_t index = special.find(c);
    if (index != std::string_view::npos) {
      out += '\\';
      out += letters[index];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += hex[static_cast<size_t>(c) >> 4];
      out += hex[static_cast<size_t>(c) & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void write_break(std::string& out, int indent, int depth) {
  if (indent == 0) return;
  out += '\n';
  out.append(static_cast<size_t>(indent * depth), ' ');
}

}  // namespace

bool Json::get_number(double& out) const {
  if (const auto* whole = get<int64_t>()) {
    out = static_cast<double>(*whole);
  } else if (const auto* wide = get<double>()) {
    out = *wide;
  } else if (const auto* narrow = get<float>()) {
    out = *narrow;
  } else {
    return false;
  }
  return true;
}

const Json* Json::find(std::string_view key) const {
  const auto* members = get<Object>();
  if (members == nullptr) return nullptr;
  for (const auto& [name, value] : *members) {
    if (name == key) return &value;
  }
  return nullptr;
}

std::string Json::dump(int indent) const {
  std::string out;
  write(out, indent, 0);
  return out;
}

void Json::write(std::string& out, int indent, int depth) const {
  const auto write_items = [&](const auto& items, char open, char close, const auto& write_item) {
    out += open;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += indent > 0 ? "," : ", ";
      write_break(out, indent, depth + 1);
      write_item(items[i]);
    }
    if (!items.empty()) write_break(out, indent, depth);
    out += close;
  };
  if (const auto* members = get<Object>()) {
    write_items(*members, '{', '}', [&](const auto& member) {
      write_string(out, member.first);
      out += ": ";
      member.second.write(out, indent, depth + 1);
    });
  } else if (const auto* elements = get<Array>()) {
    write_items(*elements, '[', ']', [&](const Json& element) { element.write(out, indent, depth + 1); });
  } else if (const auto* text = get<std::string>()) {
    write_string(out, *text);
  } else if (const auto* boolean = get<bool>()) {
    out += *boolean ? "true" : "false";
  } else if (const auto* whole = get<int64_t>()) {
    write_integer(out, *whole);
  } else if (const auto* wide = get<double>()) {
    write_float(out, *wide);
  } else if (const auto* narrow = get<float>()) {
    write_float(out, *narrow);
  } else {
    out += "null";
  }
}

}  // namespace ajet
