// Parameters of an AdamW update, in device or host memory.
#pragma once

#include <utility>
#include <vector>

#include "backend_fixture.h"

namespace ajet::test {

struct AdamwParameters {
  std::vector<Buffer> buffers;
  std::vector<AdamwParameter> list;

  AdamwParameters(const std::shared_ptr<Backend>& backend, const std::vector<int64_t>& sizes, bool moments_on_host,
                  bool weights_on_host) {
    const bool with_copy = backend->compute_dtype() != DType::f32;
    for (const int64_t size : sizes) {
      const auto bytes = static_cast<size_t>(size) * sizeof(float);
      const auto place = [&](bool on_host) {
        return buffers.emplace_back(on_host ? backend->allocate_host(bytes) : backend->allocate(bytes)).f32();
      };
      AdamwParameter& p = list.emplace_back();
      p.w = place(weights_on_host);
      p.m = place(moments_on_host);
      p.v = place(moments_on_host);
      p.gradient = place(false);
      p.elements = size;
      p.args = {.learning_rate = 0.01F, .weight_decay = 0.1F};
      if (with_copy) p.args.compute_copy = place(false);
      write(*backend, p.w, size, 0.0F);
    }
  }

  void update(Backend& backend, int64_t step) {
    for (AdamwParameter& p : list) {
      write(backend, const_cast<float*>(p.gradient), p.elements, static_cast<float>(step));
      p.args.step = step;
    }
    backend.adamw_update(list);
  }

  // Weights, moments and copies.
  Floats values(Backend& backend) const {
    Floats all;
    for (const AdamwParameter& p : list) {
      for (const float* array : {p.w, p.m, p.v}) append(all, download_floats(backend, array, DType::f32, p.elements));
      if (p.args.compute_copy != nullptr)
        append(all, download_floats(backend, p.args.compute_copy, backend.compute_dtype(), p.elements));
    }
    return all;
  }

 private:
  // Normal numbers plus `offset`, other ones at each place; drawing all of them would take longer than the update.
  static void write(Backend& backend, float* to, int64_t elements, float offset) {
    static const Floats drawn = random_floats(11, 4099);
    Floats values(elements);
    for (int64_t i = 0; i < elements; ++i)
      values[i] = drawn[i % 4099] + 0.01F * static_cast<float>(i / 4099 % 100) + offset;
    backend.upload(to, values.data(), values.size() * sizeof(float));
  }
};

}  // namespace ajet::test
