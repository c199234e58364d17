// The suite on a card. Where there is none it says so, and checks no more than the border between library and binary.
#include <dlfcn.h>

#include <cstdio>
#include <filesystem>

#include "backend/device.h"
#include "base/error.h"
#include "check.h"

namespace {

using namespace ajet;

// Throws where it does not hold.
void check_border() {
  const std::string path = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "libajet_cuda.so";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  CHECK(library != nullptr);
  using Entry = const cuda::CudaLibrary* (*)(const char*);
  const auto entry = reinterpret_cast<Entry>(dlsym(library, "ajet_cuda_library"));
  CHECK(entry != nullptr);
  CHECK(entry("of another build") == nullptr);
  const cuda::CudaLibrary* functions = entry(AJET_CUDA_ABI);
  CHECK(functions != nullptr);
  try {
    functions->make_backend({.device = 1000});
    CHECK(false);
  } catch (const Error& error) {  // an Error of the library's is one here
    CHECK(error.code() == ErrorCode::device);
    CHECK(std::string(error.what()).starts_with("[cuda] cudaSetDevice(device) failed: "));
    CHECK(std::string(error.what()).find(" at check.cpp:") != std::string::npos);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    check_border();
  } catch (const std::exception& error) {
    std::printf("FAIL the border between library and binary\n     %s\n0 passed, 1 failed\n", error.what());
    return 1;
  }
  const CudaSupport& support = cuda_support();
  if (!support.problem.empty()) {
    std::printf("skipped: no CUDA device (%s)\n", support.problem.c_str());
    return 0;
  }
  std::printf("on %s\n", support.probe.devices.front().name.c_str());
  return test::run_tests(argc, argv);
}
