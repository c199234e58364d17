// Which device a request gets, on a machine with or without a card.
#include "backend/device.h"

#include "base/error.h"
#include "check.h"

namespace ajet::test {
namespace {

TEST("device auto takes the card, or the CPU with a reason") {
  const DeviceChoice choice = make_backend({.threads = 1});
  CHECK_EQ(choice.why_not_cuda.empty(), choice.backend->name() == "cuda:0");
  const CudaSupport& support = cuda_support();
  CHECK_EQ(choice.why_not_cuda.empty(), support.problem.empty() && support.probe.devices[0].problem.empty());
  CHECK(choice.why_not_cuda.find('\n') == std::string::npos);
}

TEST("device cpu never asks for a reason") {
  const DeviceChoice choice = make_backend({.device = "cpu", .threads = 1, .isa = "portable"});
  CHECK_EQ(choice.backend->description(), std::string("cpu, 1 thread, portable"));
  CHECK_EQ(choice.why_not_cuda, std::string());
}

TEST("device by name is that device or an error") {
  for (const char* name : {"cuda", "cuda:99"}) {
    if (std::string(name) == "cuda" && cuda_support().problem.empty()) {
      CHECK_EQ(make_backend({.device = name}).backend->name(), std::string("cuda:0"));
      continue;
    }
    try {
      make_backend({.device = name});
      CHECK(false);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::device);
      CHECK(std::string(error.what()).starts_with(std::string("[device] `") + name + "` cannot be used: "));
    }
  }
}

TEST("device names what it does not know") {
  for (const char* name : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CUDA"})
    CHECK_ERROR(make_backend({.device = name}), "\"cpu\", \"cuda\" or \"cuda:N\" for `device` but received");
  CHECK_ERROR(make_backend({.device = "cpu", .dtype = "int8"}), "for `dtype` but received \"int8\"");
  CHECK_ERROR(make_backend({.device = "cpu", .dtype = "bfloat16"}), "needs CUDA");
}

}  // namespace
}  // namespace ajet::test
