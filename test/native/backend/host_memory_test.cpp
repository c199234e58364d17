// Memory of the host's that a device's ops take: AdamW's, above all.
#include "adamw_parameters.h"

namespace ajet::test {
namespace {

// Two updates; weights, moments and copies after them.
Floats updated(const std::shared_ptr<Backend>& backend, const std::vector<int64_t>& sizes, bool moments_on_host,
               bool weights_on_host) {
  AdamwParameters parameters(backend, sizes, moments_on_host, weights_on_host);
  for (int64_t step = 1; step <= 2; ++step) parameters.update(*backend, step);
  return parameters.values(*backend);
}

TEST("adamw over host memory has the bits of adamw in the device's") {
  for (const auto& backend : backends()) {
    const std::vector<int64_t> sizes{160, 5008, 16, 2064};
    const Floats expected = updated(backend, sizes, false, false);
    for (const auto& [moments, weights] : {std::pair{true, false}, {false, true}, {true, true}})
      CHECK(same_bits(updated(backend, sizes, moments, weights), expected));
    if (is_slow(*backend) || !backend->has_own_memory()) continue;
    const std::vector<int64_t> several_chunks{(int64_t{1} << 23) + 160, 16, int64_t{1} << 20};
    CHECK(same_bits(updated(backend, several_chunks, true, true), updated(backend, several_chunks, false, false)));
  }
}

TEST("host memory is zeroed, and taken by copies and by weights' rows") {
  for (const auto& backend : backends()) {
    constexpr int64_t rows = 20, cols = 24;
    const auto bytes = static_cast<size_t>(backend->weight_elements(rows, cols)) * sizeof(float);
    const Buffer host = backend->allocate_host(bytes), device = backend->allocate(bytes);
    const Weight on_host{host.data(), DType::f32, rows, cols}, on_device{device.data(), DType::f32, rows, cols};
    Floats read(rows * cols);
    backend->read_weight_rows(read.data(), on_host, 0, rows);
    CHECK(read == Floats(rows * cols));
    const Floats values = random_floats(3, rows * cols);
    backend->write_weight_rows(on_host, 0, rows, values.data());
    backend->copy(device.data(), host.data(), bytes);
    backend->zero(host.data(), bytes);
    backend->read_weight_rows(read.data(), on_device, 0, rows);
    CHECK(read == values);
    backend->copy(host.data(), device.data(), bytes);
    backend->read_weight_rows(read.data(), on_host, 0, rows);
    CHECK(read == values);
  }
}

}  // namespace
}  // namespace ajet::test
