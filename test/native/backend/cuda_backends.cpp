// The suite on the first card, through libajet_cuda beside this binary: in bf16 and in fp32.
#include "backend/device.h"
#include "backend_fixture.h"

namespace ajet::test {
namespace {

std::shared_ptr<Backend> make(const char* dtype) { return make_backend({.device = "cuda", .dtype = dtype}).backend; }

}  // namespace

std::vector<std::shared_ptr<Backend>> backends() { return {make("bfloat16"), make("float32")}; }

std::vector<std::vector<std::shared_ptr<Backend>>> equal_backends() {
  return {{make("bfloat16"), make("bfloat16")}, {make("float32"), make("float32")}};
}

bool is_slow(const Backend&) { return false; }

}  // namespace ajet::test
