#include <charconv>
#include <unordered_set>

#include "base/error.h"
#include "base/json.h"

namespace ajet {
namespace {

constexpr int max_depth = 64;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Json parse() {
    Json value = parse_value(0);
    skip_space();
    if (position_ < text_.size()) expected("the end of the text");
    return value;
  }

 private:
  [[noreturn]] void expected(const std::string& what) const {
    const std::string found =
        position_ < text_.size() ? "`" + std::string(text_.substr(position_, 12)) + "`" : "the end of the text";
    fail(ErrorCode::invalid_argument,
         "[json] Expected " + what + " at byte " + std::to_string(position_) + " but received " + found);
  }

  void skip_space() {
    while (position_ < text_.size() && std::string_view(" \t\r\n").find(text_[position_]) != std::string_view::npos) {
      ++position_;
    }
  }

  bool accept(char c) {
    if (position_ >= text_.size() || text_[position_] != c) return false;
    ++position_;
    return true;
  }

  bool accept_word(std::string_view word) {
    if (text_.substr(position_, word.size()) != word) return false;
    position_ += word.size();
    return true;
  }

  Json parse_value(int depth) {
    if (depth > max_depth) expected("at most " + std::to_string(max_depth) + " levels of nesting");
    skip_space();
    if (accept('{')) return parse_object(depth);
    if (accept('[')) return parse_array(depth);
    if (accept('"')) return parse_string();
    if (accept_word("true")) return true;
    if (accept_word("false")) return false;
    if (accept_word("null")) return {};
    return parse_number();
  }

  Json parse_object(int depth) {
    Json::Object members;
    std::unordered_set<std::string> keys;
    skip_space();
    if (accept('}')) return members;
    do {
      skip_space();
      if (!accept('"')) expected("a key");
      std::string key = parse_string();
      if (!keys.insert(key).second) {
        fail(ErrorCode::invalid_argument, "[json] Expected each key once but received `" + key + "` twice");
      }
      skip_space();
      if (!accept(':')) expected("`:`");
      members.emplace_back(std::move(key), parse_value(depth + 1));
      skip_space();
    } while (accept(','));
    if (!accept('}')) expected("`,` or `}`");
    return members;
  }

  Json parse_array(int depth) {
    Json::Array elements;
    skip_space();
    if (accept(']')) return elements;
    do {
      elements.push_back(parse_value(depth + 1));
      skip_space();
    } while (accept(','));
    if (!accept(']')) expected("`,` or `]`");
    return elements;
  }

  uint32_t parse_hex4() {
    uint32_t value = 0;
    const char* first = text_.data() + position_;
    if (position_ + 4 > text_.size() || std::from_chars(first, first + 4, value, 16).ptr != first + 4) {
      expected("four hexadecimal digits");
    }
    position_ += 4;
    return value;
  }

  void append_escape(std::string& out) {
    static constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    const size_t letter = position_ < text_.size() ? letters.find(text_[position_]) : std::string_view::npos;
    if (letter != std::string_view::npos) {
      ++position_;
      out += meanings[letter];
      return;
    }
    if (!accept('u')) expected("an escape");
    uint32_t code = parse_hex4();
    if (code >= 0xD800 && code < 0xDC00) {
      if (!accept_word("\\u")) expected("a low surrogate");
      const uint32_t low = parse_hex4();
      if (low < 0xDC00 || low >= 0xE000) expected("a low surrogate before this place");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      expected("a high surrogate before this place");
    }
    append_utf8(out, code);
  }

  static void append_utf8(std::string& out, uint32_t code) {
    if (code < 0x80) {
      out += static_cast<char>(code);
      return;
    }
    const int continuations = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    const uint32_t lead = continuations == 1 ? 0xC0 : continuations == 2 ? 0xE0 : 0xF0;
    out += static_cast<char>(lead | (code >> (6 * continuations)));
    for (int i = continuations - 1; i >= 0; --i) out += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F));
  }

  std::string parse_string() {
    std::string out;
    while (!accept('"')) {
      if (position_ >= text_.size() || static_cast<unsigned char>(text_[position_]) < 0x20) expected("`\"`");
      if (accept('\\')) {
        append_escape(out);
      } else {
        out += text_[position_++];
      }
    }
    return out;
  }

  size_t skip_digits() {
    const size_t start = position_;
    while (position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9') ++position_;
    return position_ - start;
  }

  Json parse_number() {
    const size_t start = position_;
    accept('-');
    const bool leading_zero = position_ < text_.size() && text_[position_] == '0';
    const size_t digits = skip_digits();
    if (digits == 0) {
      position_ = start;
      expected("a value");
    }
    if (leading_zero && digits > 1) expected("a number without leading zeros before this place");
    bool integer = true;
    if (accept('.')) {
      integer = false;
      if (skip_digits() == 0) expected("a digit");
    }
    if (accept('e') || accept('E')) {
      integer = false;
      if (!accept('+')) accept('-');
      if (skip_digits() == 0) expected("a digit");
    }
    const char *first = text_.data() + start, *last = text_.data() + position_;
    int64_t whole = 0;
    if (integer && std::from_chars(first, last, whole).ec == std::errc{}) return whole;
    double value = 0;
    if (std::from_chars(first, last, value).ec != std::errc{}) expected("a number in range before this place");
    return value;
  }

  std::string_view text_;
  size_t position_ = 0;
};

}  // namespace

Json Json::parse(std::string_view text) { return Parser(text).parse(); }

}  // namespace ajet
