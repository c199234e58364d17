// AdamW over host memory, in the emulator, whose streams run ahead of one another as a draw has it: a wait that is
// missing shows as a wrong value.
#include <array>

#include "adamw_parameters.h"
#include "backend/cuda/cuda_backend.h"

namespace ajet::test {
namespace {

using namespace cuda;

constexpr uint64_t progress_seeds = 12;  // 0: streams work when they are waited for

// Restores the emulator's order.
struct Progress {
  explicit Progress(uint64_t seed) { emulator::set_progress(seed); }
  ~Progress() { emulator::set_progress(0); }
};

TEST("host staging: chunks come in, are updated and go out in order, whichever stream runs ahead") {
  constexpr int64_t chunk = 64;
  constexpr std::array<int64_t, 5> sizes{16, 640, 64, 1040, 80};
  for (uint64_t seed = 0; seed < progress_seeds; ++seed) {
    const Progress progress(seed);
    Stream compute(0, false);
    DeviceArena arena(0, 0);
    HostMemory memory(0);
    HostStaging staging(0, compute, arena, chunk);
    std::vector<Floats> expected;
    std::vector<std::array<float*, 2>> arrays;
    for (const int64_t size : sizes) {
      const size_t bytes = static_cast<size_t>(size) * sizeof(float);
      arrays.push_back({static_cast<float*>(memory.allocate(bytes)), static_cast<float*>(memory.allocate(bytes))});
      expected.push_back(random_floats(static_cast<uint64_t>(size), size));
      std::ranges::copy(expected.back(), arrays.back()[0]);
    }
    for (int pass = 0; pass < 2; ++pass) {
      staging.begin();
      for (size_t i = 0; i < sizes.size(); ++i) {
        staging.run(arrays[i], sizes[i], [&](std::span<float* const> staged, int64_t first, int64_t count) {
          emulator::enqueue(compute.handle(), [=] {
            for (int64_t j = 0; j < count; ++j) {
              staged[0][j] = 2.0F * staged[0][j] + static_cast<float>(first + j);
              staged[1][j] = staged[0][j];
            }
          });
        });
      }
      staging.end();
    }
    // A reader on the compute stream, without any other wait.
    std::vector<Floats> seen(sizes.size());
    emulator::enqueue(compute.handle(), [&] {
      for (size_t i = 0; i < sizes.size(); ++i) seen[i].assign(arrays[i][1], arrays[i][1] + sizes[i]);
    });
    compute.synchronize();
    for (size_t i = 0; i < sizes.size(); ++i) {
      for (int pass = 0; pass < 2; ++pass)
        for (int64_t j = 0; j < sizes[i]; ++j) expected[i][j] = 2.0F * expected[i][j] + static_cast<float>(j);
      CHECK(same_bits(seen[i], expected[i]));
    }
  }
}

const std::vector<int64_t> parameter_sizes{160, 5008, 16, 2064};

TEST("adamw over host memory does not depend on which stream runs ahead") {
  const auto resident = make_cuda_backend({});
  AdamwParameters expected(resident, parameter_sizes, false, false);
  for (int64_t step = 1; step <= 3; ++step) expected.update(*resident, step);
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const Progress progress(seed);
    const auto backend = make_cuda_backend({});
    AdamwParameters offloaded(backend, parameter_sizes, true, true);
    for (int64_t step = 1; step <= 3; ++step) offloaded.update(*backend, step);
    CHECK(same_bits(offloaded.values(*backend), expected.values(*resident)));
  }
}

TEST("host memory is counted, zeroed, given back, and refused with its size") {
  const auto backend = make_cuda_backend({});
  const size_t before = backend->memory().active_bytes;
  {
    const Buffer buffer = backend->allocate_host(1 << 20);
    CHECK_EQ(backend->memory().host_bytes, size_t{1} << 20);
    CHECK(std::all_of(buffer.f32(), buffer.f32() + (1 << 18), [](float value) { return value == 0.0F; }));
    const Buffer other = backend->allocate_host(256);
    CHECK_EQ(backend->memory().host_bytes, (size_t{1} << 20) + 256);
  }
  CHECK_EQ(backend->memory().host_bytes, size_t{0});
  CHECK(backend->memory().active_bytes > before);  // the staging stays
  CHECK_ERROR(backend->allocate_host(size_t{1} << 60),
              "[allocate_host] Expected 1152921504606846976 bytes of page-locked");
}

TEST("an update over host memory that fails half way leaves that memory at rest") {
  for (const auto& [failing, kind] : {std::pair{5, cudaMemcpyHostToDevice},
                                      {10, cudaMemcpyHostToDevice},
                                      {1, cudaMemcpyDeviceToHost},
                                      {8, cudaMemcpyDeviceToHost}}) {
    const Progress progress(1);
    const auto backend = make_cuda_backend({});
    AdamwParameters parameters(backend, parameter_sizes, true, true);
    parameters.update(*backend, 1);
    emulator::set_failing_copy(static_cast<size_t>(failing), kind);  // of three a parameter
    CHECK_ERROR(parameters.update(*backend, 2), "cudaMemcpyAsync");
    std::vector<Floats> then;
    for (const AdamwParameter& p : parameters.list) then.emplace_back(p.m, p.m + p.elements);
    const Buffer other = backend->allocate(256);
    for (int i = 0; i < 100; ++i) backend->zero(other.data(), other.bytes());  // whatever is left gets on
    for (size_t i = 0; i < then.size(); ++i) {
      const float* m = parameters.list[i].m;
      CHECK(same_bits(then[i], Floats(m, m + then[i].size())));
    }
    parameters.update(*backend, 3);  // and it can be gone on with
    for (const float value : parameters.values(*backend)) CHECK(std::isfinite(value));
  }
}

}  // namespace
}  // namespace ajet::test
