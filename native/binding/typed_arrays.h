// Typed arrays in and out. In: copied once, on the JS thread, since JavaScript may change or detach them later.
#pragma once

#include <napi.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace ajet::binding {

// "NaN", "\"abc\"", "an object": a value as an error message names it.
std::string describe(Napi::Value value);

// Throws invalid_argument "[op] Expected an Int32Array for `name` but received ...".
std::vector<int32_t> copy_int32(const char* op, const char* name, Napi::Value value);
std::vector<uint8_t> copy_uint8(const char* op, const char* name, Napi::Value value);
std::vector<float> copy_float32(const char* op, const char* name, Napi::Value value);
std::vector<double> copy_float64(const char* op, const char* name, Napi::Value value);

// A fresh typed array with a copy of the values.
template <typename Array, typename T>
Array to_typed_array(Napi::Env env, const std::vector<T>& values) {
  Array array = Array::New(env, values.size());
  static_assert(sizeof(typename std::remove_pointer_t<decltype(array.Data())>) == sizeof(T));
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(T));
  return array;
}
inline Napi::Int32Array to_js(Napi::Env env, const std::vector<int32_t>& v) {
  return to_typed_array<Napi::Int32Array>(env, v);
}
inline Napi::Uint8Array to_js(Napi::Env env, const std::vector<uint8_t>& v) {
  return to_typed_array<Napi::Uint8Array>(env, v);
}
inline Napi::Float32Array to_js(Napi::Env env, const std::vector<float>& v) {
  return to_typed_array<Napi::Float32Array>(env, v);
}
inline Napi::Float64Array to_js(Napi::Env env, const std::vector<double>& v) {
  return to_typed_array<Napi::Float64Array>(env, v);
}

}  // namespace ajet::binding
