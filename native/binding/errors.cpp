#include "binding/errors.h"

#include <new>
#include <string>

#include "base/error.h"

namespace ajet::binding {
namespace {

const char* code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument: return "ERR_AJET_NATIVE_INVALID_ARGUMENT";
    case ErrorCode::out_of_memory: return "ERR_AJET_NATIVE_OUT_OF_MEMORY";
    case ErrorCode::io: return "ERR_AJET_NATIVE_IO";
    case ErrorCode::corrupt_file: return "ERR_AJET_NATIVE_CORRUPT_FILE";
    case ErrorCode::device: return "ERR_AJET_NATIVE_DEVICE";
    case ErrorCode::numeric: return "ERR_AJET_NATIVE_NUMERIC";
    case ErrorCode::disposed: return "ERR_AJET_NATIVE_DISPOSED";
    case ErrorCode::aborted: return "ERR_AJET_NATIVE_ABORTED";
    case ErrorCode::writer_gone: return "ERR_AJET_NATIVE_WRITER_GONE";
    case ErrorCode::internal: break;
  }
  return "ERR_AJET_NATIVE_INTERNAL";
}

Napi::Object error_object(Napi::Env env, ErrorCode code, const std::string& message) {
  const Napi::Object error = Napi::Error::New(env, message).Value();
  error.Set("code", code_name(code));
  return error;
}

}  // namespace

Napi::Object make_error(Napi::Env env, const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return error_object(env, error.code(), error.what());
  } catch (const Napi::Error& error) {
    return error.Value();
  } catch (const std::bad_alloc&) {
    return error_object(env, ErrorCode::out_of_memory, "[host] Out of memory");
  } catch (const std::exception& error) {
    return error_object(env, ErrorCode::internal, error.what());
  } catch (...) {
    return error_object(env, ErrorCode::internal, "[native] Unknown exception");
  }
}

}  // namespace ajet::binding
