#include "binding/typed_arrays.h"

#include "base/error.h"

namespace ajet::binding {
namespace {

template <typename Array, typename T>
std::vector<T> copy_array(const char* op, const char* name, Napi::Value value, napi_typedarray_type type,
                          const char* type_name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    fail(ErrorCode::invalid_argument,
         std::string("[") + op + "] Expected " + type_name + " for `" + name + "` but received " + describe(value));
  }
  const auto array = value.As<Array>();
  const size_t length = array.ElementLength();
  return length == 0 ? std::vector<T>() : std::vector<T>(array.Data(), array.Data() + length);
}

const char* typed_array_name(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array: return "an Int8Array";
    case napi_uint8_array: return "a Uint8Array";
    case napi_uint8_clamped_array: return "a Uint8ClampedArray";
    case napi_int16_array: return "an Int16Array";
    case napi_uint16_array: return "a Uint16Array";
    case napi_int32_array: return "an Int32Array";
    case napi_uint32_array: return "a Uint32Array";
    case napi_float32_array: return "a Float32Array";
    case napi_float64_array: return "a Float64Array";
    default: return "a typed array";
  }
}

}  // namespace

std::string describe(Napi::Value value) {
  if (value.IsString()) {
    const std::string text = value.As<Napi::String>().Utf8Value();
    return '"' + (text.size() > 60 ? text.substr(0, 57) + "..." : text) + '"';
  }
  if (value.IsBigInt()) return value.ToString().Utf8Value() + 'n';
  if (value.IsArray()) return "an array";
  if (value.IsTypedArray()) return typed_array_name(value.As<Napi::TypedArray>().TypedArrayType());
  if (value.IsFunction()) return "a function";
  if (value.IsSymbol()) return "a symbol";
  if (value.IsObject()) return "an object";
  return value.ToString().Utf8Value();
}

std::vector<int32_t> copy_int32(const char* op, const char* name, Napi::Value value) {
  return copy_array<Napi::Int32Array, int32_t>(op, name, value, napi_int32_array, "an Int32Array");
}

std::vector<uint8_t> copy_uint8(const char* op, const char* name, Napi::Value value) {
  return copy_array<Napi::Uint8Array, uint8_t>(op, name, value, napi_uint8_array, "a Uint8Array");
}

std::vector<float> copy_float32(const char* op, const char* name, Napi::Value value) {
  return copy_array<Napi::Float32Array, float>(op, name, value, napi_float32_array, "a Float32Array");
}

std::vector<double> copy_float64(const char* op, const char* name, Napi::Value value) {
  return copy_array<Napi::Float64Array, double>(op, name, value, napi_float64_array, "a Float64Array");
}

}  // namespace ajet::binding
