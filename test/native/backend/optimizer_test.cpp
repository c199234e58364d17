#include "backend_fixture.h"

namespace ajet::test {
namespace {

Buffer upload(const std::shared_ptr<Backend>& backend, const Floats& values) {
  Buffer buffer = backend->allocate(values.size() * sizeof(float));
  backend->upload(buffer.data(), values.data(), values.size() * sizeof(float));
  return buffer;
}

Floats download(const std::shared_ptr<Backend>& backend, const Buffer& buffer, int64_t elements) {
  Floats values(elements);
  backend->download(values.data(), buffer.data(), elements * sizeof(float));
  return values;
}

TEST("sum squares matches float64 and is equal on equal backends") {
  const int64_t elements = 200000 / 16 * 16;
  const Floats x = random_floats(1, elements);
  double expected = 0;
  for (const float value : x) expected += static_cast<double>(value) * static_cast<double>(value);
  for (const auto& equals : equal_backends()) {
    const double total = equals.front()->sum_squares(upload(equals.front(), x).f32(), elements);
    CHECK_LE(std::fabs(total - expected) / expected, 1e-12);
    for (const auto& backend : equals) CHECK_EQ(backend->sum_squares(upload(backend, x).f32(), elements), total);
  }
}

TEST("adamw matches float64 over several steps") {
  constexpr int64_t elements = 160;
  AdamwArgs args{.learning_rate = 0.01F, .weight_decay = 0.1F, .gradient_scale = 0.5F};
  for (const auto& backend : backends()) {
    const Floats start = random_floats(2, elements);
    const Buffer w = upload(backend, start), m = upload(backend, Floats(elements)),
                 v = upload(backend, Floats(elements));
    Doubles rw(start.begin(), start.end()), rm(elements), rv(elements);
    for (args.step = 1; args.step <= 20; ++args.step) {
      const Floats gradient = random_floats(100 + args.step, elements, 0.1);
      backend->adamw(w.f32(), m.f32(), v.f32(), upload(backend, gradient).f32(), elements, args);
      const double beta1 = args.beta1, beta2 = args.beta2, rate = args.learning_rate;
      const double step = static_cast<double>(args.step);
      for (int64_t i = 0; i < elements; ++i) {
        const double g = static_cast<double>(gradient[i]) * static_cast<double>(args.gradient_scale);
        rm[i] = beta1 * rm[i] + (1 - beta1) * g;
        rv[i] = beta2 * rv[i] + (1 - beta2) * g * g;
        const double m_hat = rm[i] / (1 - std::pow(beta1, step)), v_hat = rv[i] / (1 - std::pow(beta2, step));
        rw[i] -= rate * (m_hat / (std::sqrt(v_hat) + static_cast<double>(args.epsilon)) +
                         static_cast<double>(args.weight_decay) * rw[i]);
      }
    }
    CHECK_LE(relative_error(download(backend, w, elements), rw), 1e-6);
    CHECK_LE(relative_error(download(backend, m, elements), rm), 1e-6);
    CHECK_LE(relative_error(download(backend, v, elements), rv), 1e-6);
  }
}

TEST("adamw keeps zero padding zero") {
  for (const auto& backend : backends()) {
    const Buffer w = upload(backend, Floats(32)), m = upload(backend, Floats(32)), v = upload(backend, Floats(32)),
                 g = upload(backend, Floats(32));
    backend->adamw(w.f32(), m.f32(), v.f32(), g.f32(), 32, {.learning_rate = 0.1F, .weight_decay = 0.1F});
    for (const float value : download(backend, w, 32)) CHECK_EQ(value, 0.0F);
  }
}

TEST("adamw writes the copy that products read") {
  constexpr int64_t elements = 2064;
  for (const auto& backend : backends()) {
    const DType dtype = backend->compute_dtype();
    if (dtype == DType::f32) continue;  // products read the weights themselves
    const Buffer w = upload(backend, random_floats(8, elements)), m = upload(backend, Floats(elements)),
                 v = upload(backend, Floats(elements)), g = upload(backend, random_floats(9, elements));
    const Buffer copy = backend->allocate(static_cast<size_t>(elements * dtype_bytes(dtype)));
    backend->adamw(w.f32(), m.f32(), v.f32(), g.f32(), elements, {.learning_rate = 0.1F, .compute_copy = copy.data()});
    CHECK(same_bits(download_floats(*backend, copy.data(), dtype, elements),
                    rounded(*backend, download(backend, w, elements))));
  }
}

TEST("axpy matches float64") {
  constexpr int64_t elements = 70000 / 16 * 16;
  const Floats x = random_floats(3, elements), y = random_floats(4, elements);
  Doubles expected(elements);
  for (int64_t i = 0; i < elements; ++i) expected[i] = static_cast<double>(y[i]) + 0.3F * static_cast<double>(x[i]);
  for (const auto& backend : backends()) {
    const Buffer target = upload(backend, y);
    backend->axpy(target.f32(), 0.3F, upload(backend, x).f32(), elements);
    CHECK_LE(relative_error(download(backend, target, elements), expected), 1e-6);
  }
}

TEST("optimizer same bits on equal backends") {
  check_same_bits_everywhere([](const std::shared_ptr<Backend>& backend) {
    constexpr int64_t elements = 140000 / 16 * 16;
    const Buffer w = upload(backend, random_floats(5, elements)), m = upload(backend, random_floats(6, elements)),
                 v = upload(backend, Floats(elements, 0.5F)), g = upload(backend, random_floats(7, elements));
    backend->adamw(w.f32(), m.f32(), v.f32(), g.f32(), elements,
                   {.learning_rate = 1e-3F, .weight_decay = 0.01F, .step = 3});
    backend->axpy(w.f32(), -0.7F, m.f32(), elements);
    Floats all = download(backend, w, elements);
    append(all, download(backend, m, elements));
    append(all, download(backend, v, elements));
    return all;
  });
}

}  // namespace
}  // namespace ajet::test
