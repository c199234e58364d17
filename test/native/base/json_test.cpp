// Strict JSON in and out.
#include "base/json.h"

#include "check.h"

namespace ajet::test {

TEST("json: strings, numbers and nesting survive a round trip") {
  const std::string numbers = "[1, -2, 0.5, 1e-06, 9007199254740993, true, false, null]";
  const Json json =
      Json::parse(R"({"a\"\\\n\u0001": )" + numbers + R"(, "b": {}, "c": [], "d": "é\u20ac\ud83d\ude00"})");
  CHECK_EQ(json.dump(), R"({"a\"\\\n\u0001": )" + numbers + R"(, "b": {}, "c": [], "d": "é€😀"})");
  CHECK_EQ(Json::parse(json.dump(2)).dump(), json.dump());
  CHECK_EQ(*json.find("d")->get<std::string>(), "é€😀");
  CHECK(json.find("e") == nullptr && json.find("d")->get<Json::Array>() == nullptr);
}

TEST("json: a float is written in its own shortest form, a whole double as a double") {
  CHECK_EQ(Json(1e-6F).dump(), "1e-06");
  CHECK_EQ(Json(500000.0).dump(), "500000.0");
  CHECK_EQ(Json(2.5e20).dump(), "2.5e+20");
  CHECK_EQ(Json(int64_t{1} << 60).dump(), "1152921504606846976");
}

TEST("json: what is not JSON is an error with its place") {
  for (const char* text : {"", "{", "[1,]", "{\"a\" 1}", "{\"a\": 1,}", "01", "1.", "1e", "+1", "nul", "\"\\x\"",
                           "\"\n\"", "\"\\ud800\"", "\"\\udc00\"", "[1] 2", "NaN", "'a'", "\"open", "{1: 2}"}) {
    CHECK_ERROR(Json::parse(text), "[json] Expected");
  }
  CHECK_ERROR(Json::parse("[1, x]"), "at byte 4 but received `x]`");
  CHECK_ERROR(Json::parse(std::string(100000, '[')), "levels of nesting");
}

}  // namespace ajet::test
