// The suite on the first card, through libajet_cuda beside this binary: in bf16 and in fp32, and on compute capability
// 9.0 in bf16 with products by warpgroups.
#include <cstdlib>

#include "backend/device.h"
#include "backend_fixture.h"

namespace ajet::test {
namespace {

std::shared_ptr<Backend> make(const char* dtype) { return make_backend({.device = "cuda", .dtype = dtype}).backend; }

// Null on other cards.
std::shared_ptr<Backend> make_with_warpgroups() {
  const cuda::CudaDevice& card = cuda_support().probe.devices.front();
  if (card.major != 9 || card.minor != 0) return nullptr;
  setenv("AJET_CUDA_WGMMA", "1", 1);
  std::shared_ptr<Backend> backend = make("bfloat16");
  unsetenv("AJET_CUDA_WGMMA");
  return backend;
}

}  // namespace

std::vector<std::shared_ptr<Backend>> backends() {
  std::vector<std::shared_ptr<Backend>> all{make("bfloat16"), make("float32")};
  if (auto backend = make_with_warpgroups()) all.push_back(std::move(backend));
  return all;
}

std::vector<std::vector<std::shared_ptr<Backend>>> equal_backends() {
  return {{make("bfloat16"), make("bfloat16")}, {make("float32"), make("float32")}};
}

// Under a sanitizer a card is slow too.
bool is_slow(const Backend&) { return std::getenv("AJET_TEST_SMALL") != nullptr; }

}  // namespace ajet::test
